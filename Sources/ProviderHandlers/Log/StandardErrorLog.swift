import Glibc
public import Logging

/// Level and format of the log, for all loggers that were made with it; both can change while they are used.
public final class LogSettings: Sendable {
    private let state: Locked<(level: Logger.Level, format: Configuration.LogFormat)>

    public init(_ configuration: Configuration.Log) {
        state = Locked((Self.level(configuration), configuration.format))
    }

    /// From the next line on.
    public func change(to configuration: Configuration.Log) {
        state.withLock { $0 = (Self.level(configuration), configuration.format) }
    }

    var level: Logger.Level { state.withLock { $0.level } }
    var format: Configuration.LogFormat { state.withLock { $0.format } }

    /// Both enumerations have the same names; the configuration's own keeps swift-log out of its interface.
    private static func level(_ configuration: Configuration.Log) -> Logger.Level {
        Logger.Level(rawValue: configuration.level.rawValue) ?? .info
    }
}

/// Writes log lines to standard error: as `message key=value …`, or as JSON.
///
/// A line for journald begins with `<priority>` (sd-daemon(3)); nobody else reads that.
public struct StandardErrorLog: LogHandler {
    public var metadata: Logger.Metadata = [:]
    private let settings: LogSettings
    private var ownLevel: Logger.Level?
    private let isJournal: Bool

    public init(_ settings: LogSettings) {
        self.settings = settings
        isJournal = Journal.receives(STDERR_FILENO, environment: Program.environment)
    }

    /// The settings' level, unless this logger was given one of its own.
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
            case .json: line.json(at: LogTime())
            }
        Program.writeToStandardError(text + "\n")
    }
}

extension Logger {
    /// A logger for a program of ours.
    public static func standardError(_ label: String, _ settings: LogSettings) -> Logger {
        Logger(label: label) { _ in StandardErrorLog(settings) }
    }
}
