import Logging
import Synchronization

/// Keeps what is logged, as text.
struct LogCapture: LogHandler {
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
        func count(containing text: String) -> Int { all.count { $0.contains(text) } }
    }

    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    let lines: Lines

    static func logger() -> (logger: Logger, lines: Lines) {
        let lines = Lines()
        return (Logger(label: "test") { _ in LogCapture(lines: lines) }, lines)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        lines.append("\(event.level) \(event.message)\(fields)")
    }
}
