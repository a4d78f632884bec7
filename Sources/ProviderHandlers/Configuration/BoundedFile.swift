import Glibc

/// A small regular file, read whole.
struct BoundedFile {
    let bytes: [UInt8]
    /// Whether every user of the machine may read it.
    let isReadableByOthers: Bool

    /// - Throws: for anything but a regular file of at most `limit` bytes; never waits, as opening a FIFO would.
    init(_ path: String, limit: Int) throws(UnreadableFile) {
        // O_NONBLOCK: a FIFO without a writer opens at once. O_NOCTTY: a terminal named by mistake is not taken over.
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

    /// Counts what is read, not what fstat says: a file can grow.
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
    /// There is no such file, as opposed to one that is there and cannot be read.
    var isMissing = false
    /// The system's number for it (errno(3)); 0 for a reason of our own.
    var code: CInt = 0
}
