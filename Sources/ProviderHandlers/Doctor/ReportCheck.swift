import FoundationEssentials
import Glibc

/// Whether reports are sent in time, and what came of the last report.
struct ReportCheck: Sendable {
    enum Timer: Sendable, Equatable {
        case noSystemd
        case notInstalled
        case state(active: String, next: String)
    }

    var timer: Timer
    var last: ReportRecord?
    /// Unix time.
    var now: Double

    static func look(_ configuration: Configuration) -> Self {
        Self(
            timer: lookAtTimer(), last: ReportRecord.path(configuration).flatMap(ReportRecord.init(path:)),
            now: Date.now.timeIntervalSince1970)
    }

    private static func lookAtTimer() -> Timer {
        guard Systemd.isRunning,
            let shown = Systemd.show(
                ["provider-reporter.timer"], ["LoadState", "ActiveState", "NextElapseUSecMonotonic"])
        else { return .noSystemd }
        return judge(shown)
    }

    static func judge(_ shown: [[String: String]]) -> Timer {
        guard let unit = shown.first, unit["LoadState"] == "loaded" else { return .notInstalled }
        return .state(active: unit["ActiveState"] ?? "unknown", next: unit["NextElapseUSecMonotonic"] ?? "")
    }

    // MARK: The judgement

    var findings: [Finding] { [timerFinding, lastFinding] }

    private var timerFinding: Finding {
        switch timer {
        case .noSystemd: .skip(.reportTimer, "systemd does not run here")
        case .notInstalled: .skip(.reportTimer, "provider-reporter.timer is not installed")
        case .state("active", let next):
            .ok(
                .reportTimer,
                "active" + (next.isEmpty || next == "infinity" ? "" : ", next run \(next) after boot"))
        case .state(let active, _):
            .warn(
                .reportTimer, "provider-reporter.timer is \(active)",
                fix: "systemctl enable --now provider-reporter.timer")
        }
    }

    private var lastFinding: Finding {
        guard let last else { return .skip(.reportLast, "no report has been recorded since the start of the machine") }
        let log = "journalctl -t provider-reporter -n 50"
        let age = max(0, now - last.lastAttempt)
        let saw = "\(last.outcome) \(age.formatted(0)) s ago"
        guard last.exitStatus == 0 else {
            let status = last.responseStatus.map { ", status \($0)" } ?? ""
            return .warn(.reportLast, "\(saw) (exit status \(last.exitStatus)\(status))", fix: log)
        }
        guard age <= 3 * last.interval else {
            return .warn(.reportLast, "\(saw), more than three intervals", fix: "systemctl start provider-reporter")
        }
        return .ok(.reportLast, saw)
    }
}
