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
        line.reserveCapacity(256)
        let own = event.metadata ?? [:]
        let fields = metadata.isEmpty ? own : metadata.merging(own) { _, new in new }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += " "
            line += key
            line += "="
            Self.append(Self.quoted(value.description), to: &line)
        }
        Program.writeToStandardError(line + "\n")
    }

    /// Control characters could forge a second line or steer a terminal.
    private static func append(_ text: String, to line: inout String) {
        // Almost all text is plain, and every request logs some.
        if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) {
            line += text
            return
        }
        for scalar in text.unicodeScalars {
            line.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
        }
    }

    private static func quoted(_ value: String) -> String {
        value.isEmpty || value.utf8.contains(where: { $0 == 0x20 || $0 == 0x3D || $0 == 0x22 })
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
