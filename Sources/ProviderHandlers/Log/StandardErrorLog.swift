import FoundationEssentials
import Glibc
public import Logging

/// Writes log lines to standard error: as `message key=value …`, or as JSON.
///
/// A line of text for journald begins with `<priority>` (sd-daemon(3)).
public struct StandardErrorLog: LogHandler {
    public var metadata: Logger.Metadata = [:]
    private let settings: LogSettings
    private var ownLevel: Logger.Level?
    private let isJournal: Bool

    public init(_ settings: LogSettings) {
        self.settings = settings
        isJournal = Journal.receives(
            STDERR_FILENO, stream: unsafe getenv("JOURNAL_STREAM").map { unsafe String(cString: $0) })
    }

    /// The level in the settings, unless this logger has its own.
    public var logLevel: Logger.Level {
        get { ownLevel ?? settings.level }
        set { ownLevel = newValue }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let own = event.metadata ?? [:]
        let line = LogLine(
            level: event.level, message: event.message.description,
            fields: metadata.isEmpty ? own : metadata.merging(own) { _, new in new })
        let text =
            switch settings.format {
            case .text: line.text(hasPriority: isJournal)
            case .json: line.json(at: .now)
            }
        StandardError.write(text + "\n")
    }
}

extension Logger {
    /// A logger for a program of ours.
    public static func standardError(_ label: String, _ settings: LogSettings) -> Logger {
        Logger(label: label) { _ in StandardErrorLog(settings) }
    }
}

/// Whether what a process writes reaches journald.
enum Journal {
    /// Whether a descriptor is the stream that systemd has connected to journald.
    ///
    /// A child may have inherited the variable and another stream, so device and inode are compared.
    ///
    /// - Parameter stream: `JOURNAL_STREAM`: device and inode, "separated by a colon" (systemd.exec(5)).
    static func receives(_ descriptor: CInt, stream: String?) -> Bool {
        guard let stream else { return false }
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { return false }
        return stream == "\(information.st_dev):\(information.st_ino)"
    }
}
