import Glibc

/// A small regular file, read whole.
struct BoundedFile {
    let bytes: [UInt8]
    /// Whether every user of the machine may read it.
    let isReadableByOthers: Bool

    /// - Throws: for anything but a regular file of at most `limit` bytes. Never blocks, not even on a FIFO.
    init(_ path: String, limit: Int) throws(UnreadableFile) {
        // O_NONBLOCK: a FIFO without a writer opens at once. O_NOCTTY: a terminal does not become the controlling terminal.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            let code = errno
            throw UnreadableFile(
                reason: systemError(code), isMissing: code == ENOENT || code == ENOTDIR, code: code)
        }
        defer { close(descriptor) }
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { throw UnreadableFile(reason: systemError(errno)) }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw UnreadableFile(reason: "expected a regular file, found \(Self.kind(of: information.st_mode))")
        }
        isReadableByOthers = information.st_mode & S_IROTH != 0
        bytes = try Self.read(descriptor, limit: limit)
    }

    /// Counts the bytes read, since a file can grow after fstat.
    private static func read(_ descriptor: CInt, limit: Int) throws(UnreadableFile) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                let code = errno
                throw UnreadableFile(reason: systemError(code), code: code)
            }
            guard bytes.count + count <= limit else {
                throw UnreadableFile(reason: "expected at most \(limit) bytes, found more")
            }
            bytes.append(contentsOf: chunk.prefix(count))
        }
    }

    private static func kind(of mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFDIR: "a directory"
        case S_IFIFO: "a FIFO"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }
}

/// Why a file could not be read.
struct UnreadableFile: Error {
    let reason: String
    /// The file does not exist, in contrast to an unreadable file.
    var isMissing = false
    /// The system's error number (errno(3)); 0 for other reasons.
    var code: CInt = 0

    /// Another user may be allowed to read the file.
    var isForbidden: Bool { code == EACCES || code == EPERM }
}

/// An open file, pipe or socket.
enum Descriptor {
    /// Writes all bytes, however many calls that takes.
    ///
    /// - Returns: 0, or the number of the error that ended it.
    static func write(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes[sent...].withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno != EINTR { return errno }
            sent += max(count, 0)
        }
        return 0
    }
}

/// A file that readers see whole: as it was before, or as it is after.
enum WholeFile {
    /// Writes the bytes to a file beside `path`, which then takes the place of `path`.
    ///
    /// - Returns: why it cannot be written, with the path; nil when it was.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) -> String? {
        let draft = "\(path).\(getpid())"
        // Not the file that somebody may have put there.
        unsafe unlink(draft)
        let descriptor = unsafe open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { return "\(draft): \(systemError(errno))" }
        var code = Descriptor.write(bytes, to: descriptor)
        close(descriptor)
        if code == 0, unsafe rename(draft, path) != 0 { code = errno }
        guard code != 0 else { return nil }
        unsafe unlink(draft)
        return "\(path): \(systemError(code))"
    }
}

/// A directory of the file system.
enum Directory {
    /// The names in a directory, in no order; empty when the directory cannot be read.
    static func entries(of directory: String) -> [String] {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }
}

/// The system's description of an error number (strerror(3)).
public func systemError(_ code: CInt) -> String {
    unsafe String(cString: strerror(code))
}
