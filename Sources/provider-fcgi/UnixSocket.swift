import Glibc
import ProviderHandlers

/// Makes the Unix socket nginx connects to: mode 0660 from its first moment.
enum UnixSocket {
    static func listen(at path: String, group: String, backlog: CInt) throws(ListenError) -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("create", path) }
        do throws(ListenError) {
            try removeStale(path)
            try bind(descriptor, to: path)
            if !group.isEmpty { try give(path, to: group) }
            guard Glibc.listen(descriptor, backlog) == 0 else { throw failure("listen on", path) }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// The name of a socket to which, by its mode, every user of this machine can connect: its path, or `@` and its name for
    /// an abstract socket, which has no mode (unix(7)). A directory may keep them out all the same.
    static func nameOpenToAll(_ descriptor: CInt) -> String? {
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let isKnown = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isKnown else { return nil }
        let name = unsafe withUnsafeBytes(of: address.sun_path) {
            unsafe Array($0.prefix(Int(size) - MemoryLayout<sa_family_t>.size))
        }
        if name.first == 0 { return "@" + String(decoding: name.filter { $0 != 0 }, as: UTF8.self) }
        let path = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        var info = stat()
        guard unsafe stat(path, &info) == 0, info.st_mode & S_IWOTH != 0 else { return nil }
        return path
    }

    /// Removes the socket file of a killed worker, but neither a socket in use nor another kind of file.
    private static func removeStale(_ path: String) throws(ListenError) {
        var info = stat()
        guard unsafe lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFSOCK else {
            throw ListenError(
                description: "server.socket: \(path) exists and is not a socket; remove it or choose another path")
        }
        // Not blocking: the queue of a live socket may be full.
        let probe = socket(
            AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        defer { close(probe) }
        let isConnected = unsafe withUnixAddress(Array(path.utf8)) { unsafe connect(probe, $0, $1) == 0 }
        // Only ECONNREFUSED means that nobody listens (unix(7)).
        guard !isConnected && errno == ECONNREFUSED else {
            throw ListenError(
                description: "server.socket: another process listens on \(path); stop it or choose another path")
        }
        guard unsafe unlink(path) == 0 else { throw failure("remove the stale", path) }
    }

    private static func bind(_ descriptor: CInt, to path: String) throws(ListenError) {
        // Other users may not connect between bind and a later chmod. Only safe while there is one thread: umask is the
        // process's.
        let previous = umask(0o117)
        defer { umask(previous) }
        let isBound = unsafe withUnixAddress(Array(path.utf8)) { unsafe Glibc.bind(descriptor, $0, $1) == 0 }
        guard isBound else { throw failure("create", path) }
    }

    private static func give(_ path: String, to group: String) throws(ListenError) {
        guard let entry = unsafe getgrnam(group) else {
            unsafe unlink(path)
            throw ListenError(description: "server.socket_group: there is no group \(group)")
        }
        guard unsafe chown(path, uid_t.max, entry.pointee.gr_gid) == 0 else {
            let error = failure("give group \(group)", path)
            unsafe unlink(path)
            throw error
        }
    }

    private static func failure(_ action: String, _ path: String) -> ListenError {
        let code = errno
        let hint = code == ENOENT ? "; its directory must exist" : ""
        return ListenError(description: "server.socket: cannot \(action) \(path): \(systemError(code))\(hint)")
    }
}
