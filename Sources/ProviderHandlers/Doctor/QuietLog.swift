import Logging

/// A logger for parts that log: doctor says what it found by itself.
struct QuietLog: Sendable {
    let logger = Logger(label: "doctor") { _ in SwiftLogNoOpLogHandler() }
}
