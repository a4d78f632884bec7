import Logging

/// swift-log's levels by their own names, so that a configuration need not import it.
public enum LogLevel: String, Sendable, Equatable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}

/// What a log line looks like.
public enum LogFormat: String, Sendable, Equatable, CaseIterable {
    /// A line of text; with its priority where journald reads it.
    case text
    /// A JSON object a line, for programs that collect logs.
    case json
}

/// Level and format of all loggers that were made with them; both can change while they are used.
public final class LogSettings: Sendable {
    private let state: Locked<(level: Logger.Level, format: LogFormat)>

    public init(level: LogLevel, format: LogFormat) {
        state = Locked((Logger.Level(level), format))
    }

    /// From the next line on.
    public func change(level: LogLevel, format: LogFormat) {
        state.withLock { $0 = (Logger.Level(level), format) }
    }

    var level: Logger.Level { state.withLock { $0.level } }
    var format: LogFormat { state.withLock { $0.format } }
}

extension Logger.Level {
    /// Both enumerations have the same names.
    fileprivate init(_ level: LogLevel) { self = Self(rawValue: level.rawValue) ?? .info }
}
