import FoundationEssentials
import Logging

/// One line of the log, not yet formatted.
struct LogLine {
    var level: Logger.Level
    var message: String
    var fields: Logger.Metadata

    /// `message key=value …`, the keys in order.
    ///
    /// - Parameter hasPriority: whether the line starts with `<priority>` for journald (sd-daemon(3)).
    func text(hasPriority: Bool) -> String {
        var line = hasPriority ? "<\(level.priority)>" : ""
        Self.append(message, to: &line)
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += " \(key)="
            Self.append(Self.quoted("\(value)"), to: &line)
        }
        return line
    }

    /// RFC 3339, in UTC to the millisecond: `2026-01-31T23:59:59.999Z`.
    private static let timeStyle = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// A JSON object (RFC 8259): time, level and message first, then the fields in order, numbers as numbers.
    func json(at time: Date) -> String {
        var line = #"{"time":"\#(time.formatted(Self.timeStyle))","level":"\#(level.rawValue)","message":"#
        Self.appendJSON(message, to: &line)
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += ","
            Self.appendJSON(key, to: &line)
            line += ":"
            Self.appendJSON(value, to: &line)
        }
        return line + "}"
    }

    // MARK: Text

    /// Control characters could forge a second line or steer a terminal.
    private static func append(_ text: String, to line: inout String) {
        // The fast path: almost all text is plain, and every request logs some.
        if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) {
            line += text
            return
        }
        for scalar in text.unicodeScalars {
            line.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
        }
    }

    private static func quoted(_ value: String) -> String {
        if isPlainWord(value) { return value }
        return value.isEmpty || value.contains(where: { $0 == " " || $0 == "=" || $0 == "\"" })
            ? "\"" + String(value.map { $0 == "\"" ? "'" : $0 }) + "\"" : value
    }

    /// A fast check: false also for some values that need no quotation marks.
    private static func isPlainWord(_ value: String) -> Bool {
        !value.isEmpty && value.utf8.allSatisfy { 0x21...0x7E ~= $0 && $0 != 0x22 && $0 != 0x3D }
    }

    // MARK: JSON

    private static func appendJSON(_ value: Logger.Metadata.Value, to line: inout String) {
        switch value {
        case .stringConvertible(let number as any BinaryInteger): line += "\(number)"
        case .stringConvertible(let truth as Bool): line += truth ? "true" : "false"
        case .stringConvertible(is NoValue): line += "null"
        default: appendJSON("\(value)", to: &line)
        }
    }

    private static func appendJSON(_ text: String, to line: inout String) {
        line += "\""
        defer { line += "\"" }
        if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 && $0 != 0x22 && $0 != 0x5C }) {
            line += text
            return
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            // The other control characters need no escape, but a terminal would obey them.
            case _ where scalar.properties.generalCategory == .control:
                let digits = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: line.unicodeScalars.append(scalar)
            }
        }
    }
}

/// A field without a value: `-` in text, `null` in JSON.
struct NoValue: CustomStringConvertible, Sendable {
    var description: String { "-" }
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
