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
        try Data(bytes).write(to: URL(fileURLWithPath: file), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
        return file
    }
}
