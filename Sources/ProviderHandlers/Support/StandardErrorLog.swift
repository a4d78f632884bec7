import Glibc
public import Logging

/// Writes log lines to standard error in the form journald reads: `<priority>message key=value …` (sd-daemon(3)).
///
/// On a terminal the priority is left out.
public struct StandardErrorLog: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    private let isTerminal: Bool

    public init(level: Logger.Level) {
        logLevel = level
        isTerminal = isatty(STDERR_FILENO) == 1
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var line = isTerminal ? "" : "<\(event.level.priority)>"
        Self.append(event.message.description, to: &line)
        let fields = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += " \(key)="
            Self.append(Self.quoted("\(value)"), to: &line)
        }
        Program.writeToStandardError(line + "\n")
    }

    /// Control characters could forge a second line or steer a terminal.
    private static func append(_ text: String, to line: inout String) {
        for scalar in text.unicodeScalars {
            line.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
        }
    }

    private static func quoted(_ value: String) -> String {
        value.isEmpty || value.contains(where: { $0 == " " || $0 == "=" || $0 == "\"" })
            ? "\"" + String(value.map { $0 == "\"" ? "'" : $0 }) + "\"" : value
    }
}

extension Logger {
    /// A logger for a program of ours.
    public static func standardError(_ label: String, level: Configuration.LogLevel) -> Logger {
        // Both enumerations have the same names; the configuration's own keeps swift-log out of its interface.
        let level = Logger.Level(rawValue: level.rawValue) ?? .info
        return Logger(label: label) { _ in StandardErrorLog(level: level) }
    }
}

extension Logger.Level {
    /// syslog's number for the level.
    fileprivate var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
