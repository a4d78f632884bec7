import FoundationEssentials
import Glibc

/// The last attempt to report, which the reporter leaves for the worker's metrics and for `doctor`.
public struct ReportRecord: Codable, Equatable, Sendable {
    /// Seconds between two reports: that of provider-reporter.timer.
    public static let timerInterval = 300.0

    /// Seconds since 1970, as is `lastSuccess`.
    public var lastAttempt: Double
    /// The newest report that was delivered; nil before the first.
    public var lastSuccess: Double?
    /// The exit status of the run, or what it would have been (sysexits(3)).
    public var exitStatus: Int32
    /// What came of the report, without a full stop.
    public var outcome: String
    /// The central system's HTTP status; nil without a response.
    public var responseStatus: Int?
    /// Seconds between two reports.
    public var interval: Double

    enum CodingKeys: String, CodingKey {
        case outcome
        case lastAttempt = "last_attempt"
        case lastSuccess = "last_success"
        case exitStatus = "exit_status"
        case responseStatus = "response_status"
        case interval = "interval_seconds"
    }

    /// Where the record lies: beside the scoreboard; nil where there is no scoreboard.
    public static func path(_ configuration: Configuration) -> String? {
        let scoreboard = configuration.server.scoreboard
        guard let slash = scoreboard.lastIndex(of: "/") else { return nil }
        return scoreboard[...slash] + "report.json"
    }

    /// Reads a record; nil without a readable record.
    public init?(path: String) {
        do throws(UnreadableFile) {
            let file = try BoundedFile(path, limit: 65_536)
            guard let record = try? JSONDecoder().decode(Self.self, from: Data(file.bytes)) else { return nil }
            self = record
        } catch {
            return nil
        }
    }

    init(
        lastAttempt: Double, lastSuccess: Double?, exitStatus: Int32, outcome: String, responseStatus: Int?,
        interval: Double
    ) {
        self.lastAttempt = lastAttempt
        self.lastSuccess = lastSuccess
        self.exitStatus = exitStatus
        self.outcome = outcome
        self.responseStatus = responseStatus
        self.interval = interval
    }

    /// Writes the record, whole or not at all. Without the directory nobody could read it, and nothing is written.
    ///
    /// - Returns: why it was not written; nil when it was, or need not be.
    func write(to path: String) -> String? {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        guard unsafe access(directory, F_OK) == 0 else { return nil }
        return WholeFile.write(JSON.encode(self), to: path, mode: 0o644)
    }
}
