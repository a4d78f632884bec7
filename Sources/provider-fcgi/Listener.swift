import Glibc
import ProviderHandlers

/// Why the worker cannot listen; the message names the socket and what to do.
struct ListenError: Error, CustomStringConvertible {
    let description: String

    /// EX_CANTCREAT of sysexits(3).
    static let exitStatus: CInt = 73
}

/// The listening socket: inherited on descriptor 0, or created here.
///
/// libfcgi's own `FCGX_OpenSocket` removes whatever has the socket's name and ends the process on errors.
struct Listener: Sendable {
    let descriptor: CInt
    /// For the log: where it listens.
    let name: String
    let isUnixSocket: Bool
    /// Handed over by systemd or spawn-fcgi: others may share it, and it outlives this process.
    let isInherited: Bool
    /// Where other machines can connect; nil for a Unix socket and for loopback.
    let remoteAddress: String?
    /// Where every user of this machine can connect to a Unix socket that was handed over; nil where its mode forbids it.
    let nameOpenToAll: String?
    private let path: String?

    /// Waiting connections; the kernel lowers it to net.core.somaxconn.
    private static let backlog: CInt = 4096

    init(_ server: Configuration.Server) throws(ListenError) {
        if Self.option(STDIN_FILENO, SO_ACCEPTCONN) == 1 {
            descriptor = STDIN_FILENO
            name = "the socket on descriptor 0"
            isUnixSocket = Self.option(STDIN_FILENO, SO_DOMAIN) == AF_UNIX
            isInherited = true
            path = nil
        } else if !server.socket.isEmpty {
            descriptor = try UnixSocket.listen(at: server.socket, group: server.socketGroup, backlog: Self.backlog)
            name = server.socket
            isUnixSocket = true
            isInherited = false
            path = server.socket
        } else {
            descriptor = try TCPSocket.listen(on: server.host, port: server.port, backlog: Self.backlog)
            name = "\(server.host):\(server.port)"
            isUnixSocket = false
            isInherited = false
            path = nil
        }
        remoteAddress = Self.remoteAddress(of: descriptor)
        nameOpenToAll = isUnixSocket && isInherited ? UnixSocket.nameOpenToAll(descriptor) : nil
        if let remoteAddress, !server.allowRemote {
            Glibc.close(descriptor)
            throw ListenError(
                description: """
                    \(name) listens on \(remoteAddress), which is not a loopback address, and anyone who can connect controls \
                    the worker: make it a Unix socket or 127.0.0.1, or set server.allow_remote to true
                    """)
        }
    }

    /// By address, not by name: a name may lead anywhere, and an inherited socket has no name.
    private static func remoteAddress(of descriptor: CInt) -> String? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let limit = Int(NI_MAXHOST)
        let host = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: limit) { host in
                    let isNumeric =
                        unsafe getsockname(descriptor, address, &size) == 0
                        && getnameinfo(address, size, host.baseAddress, socklen_t(limit), nil, 0, NI_NUMERICHOST) == 0
                    return unsafe isNumeric ? host.baseAddress.map { unsafe String(cString: $0) } : nil
                }
            }
        }
        guard address.ss_family != AF_UNIX else { return nil }
        // An unknown address counts as unsafe.
        let text = host ?? "an unknown address"
        return Loopback.contains(text) ? nil : text
    }

    /// Waits for the next connection; nil with `errno` set when there is none.
    func accept() -> CInt? {
        // Not close-on-exec: `ChildProcess` closes every descriptor that a child is not meant to have.
        let connection = Glibc.accept(descriptor, nil, nil)
        return connection >= 0 ? connection : nil
    }

    /// Whether a connection waits to be accepted.
    var hasWaiting: Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&polled, 1, 0) == 1 && polled.revents & Int16(POLLIN) != 0
    }

    /// Waits until a connection is there, on a socket that does not block; a signal ends it early.
    func waitForConnection() {
        var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&polled, 1, -1)
    }

    /// Takes no new connections. Waiting connections can still be accepted; after them `accept` fails at once.
    ///
    /// An inherited socket is left as it is, for the others that share it.
    func close() {
        guard !isInherited else { return }
        if let path { unsafe unlink(path) }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    /// After `close`, once nothing waits any more: who connects from now on is refused rather than left waiting.
    func refuse() {
        guard !isInherited else { return }
        _ = shutdown(descriptor, CInt(SHUT_RDWR))
    }

    private static func option(_ descriptor: CInt, _ name: CInt) -> CInt? {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        return unsafe getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : nil
    }
}

/// Makes the TCP socket for set-ups without a Unix socket.
private enum TCPSocket {
    static func listen(on host: String, port: Int, backlog: CInt) throws(ListenError) -> CInt {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let address = unsafe found else {
            let cause = unsafe String(cString: gai_strerror(result))
            throw ListenError(description: "server.host: cannot resolve \(host): \(cause)")
        }
        defer { unsafe freeaddrinfo(address) }
        let descriptor = unsafe socket(
            address.pointee.ai_family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(host, port) }
        var on: CInt = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        guard unsafe bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
            Glibc.listen(descriptor, backlog) == 0
        else {
            let error = failure(host, port)
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func failure(_ host: String, _ port: Int) -> ListenError {
        ListenError(
            description: "server.host, server.port: cannot listen on \(host):\(port): \(systemError(errno))")
    }
}
