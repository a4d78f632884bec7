import Foundation

/// A directory of a test's own, with a path short enough for a Unix socket; removed with its owner.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        var template = Array("/tmp/provider-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        // Left-overs in the temporary directory fail no test.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    public func write(_ contents: String, to name: String, mode: Int = 0o644) throws -> String {
        try write(bytes: Array(contents.utf8), to: name, mode: mode)
    }

    /// Writes a file that need not be text and returns its path.
    @discardableResult
    public func write(bytes: [UInt8], to name: String, mode: Int = 0o644) throws -> String {
        let file = path + "/" + name
        // In one step, since a program may be reading it. Not by Data's write, which waits for the disk.
        let new = file + ".new"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(mode))
        guard descriptor >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try handle.write(contentsOf: Data(bytes))
        guard fchmod(descriptor, mode_t(mode)) == 0, rename(new, file) == 0 else {
            throw POSIXError(.init(rawValue: errno) ?? .EIO)
        }
        try handle.close()
        return file
    }
}
