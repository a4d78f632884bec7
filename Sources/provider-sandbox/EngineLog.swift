import Foundation

/// A file with a line for each completion that begins, and another just before the first byte of its response:
///
///     begun chatcmpl-0123456789 USER
///     responded chatcmpl-0123456789 USER
///
/// The identifier is the response's `id`; USER is the request's `user`, "-" without one.
struct EngineLog: Sendable {
    private let file: FileHandle

    /// - Throws: when the file cannot be opened.
    init(path: String) throws {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path]) }
        file = FileHandle(fileDescriptor: descriptor)
    }

    /// Writes one line with one call, so that the lines of concurrent requests do not mix.
    func write(_ event: String, id: String, user: String?) {
        try? file.write(contentsOf: Data("\(event) \(id) \(user ?? "-")\n".utf8))
    }
}
