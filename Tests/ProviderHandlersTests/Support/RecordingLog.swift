import Logging
import Synchronization

/// Keeps what is logged.
final class RecordingLog: Sendable {
    private let recorded = Mutex<[String]>([])

    /// Each line as `level: message key=value …`.
    var lines: [String] { recorded.withLock { $0 } }

    func count(containing text: String) -> Int { lines.count { $0.contains(text) } }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(log: self) }
    }

    private struct Handler: LogHandler {
        let log: RecordingLog
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            log.recorded.withLock { $0.append("\(event.level): \(event.message)\(fields)") }
        }
    }
}
