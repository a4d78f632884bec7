import FoundationEssentials
import Glibc

/// Whether reports are sent in time, and what came of the last report.
struct ReportCheck: Sendable {
    enum Timer: Sendable, Equatable {
        case noSystemd
        /// systemd runs, and systemctl gives nothing.
        case untold
        case notInstalled
        /// `next` is how long until the next run, or when: empty where no run is planned.
        case state(active: String, next: String)
    }

    private static let name = "provider-reporter.timer"
    /// The timer of the first report after boot.
    private static let bootName = "provider-reporter-boot.timer"

    var timer: Timer
    var last: ReportRecord?
    /// Why nobody can tell what came of the last report; used without `last`.
    var noRecord = "no report has been recorded since the start of the machine"
    /// Unix time.
    var now: Double

    static func look(_ configuration: Configuration) -> Self {
        var look = Self(timer: lookAtTimer(), now: Date.now.timeIntervalSince1970)
        guard let path = ReportRecord.path(configuration) else {
            look.noRecord = "reports are recorded beside server.scoreboard, which is empty"
            return look
        }
        look.last = ReportRecord(path: path)
        if unsafe access(path, R_OK) != 0 && errno == EACCES {
            look.noRecord = "this user may not read \(path): run doctor as root"
        }
        return look
    }

    private static func lookAtTimer() -> Timer {
        guard Systemd.isRunning else { return .noSystemd }
        let properties = ["LoadState", "ActiveState", "NextElapseUSecMonotonic", "NextElapseUSecRealtime"]
        guard let shown = Systemd.show([name, bootName], properties) else { return .untold }
        // systemd counts its spans on this clock, without the time in which the machine slept.
        var uptime = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &uptime)
        return judge(shown, uptime: .seconds(uptime.tv_sec))
    }

    static func judge(_ shown: [[String: String]], uptime: Duration) -> Timer {
        guard let unit = shown.first(where: { $0["Id"] == name }), unit["LoadState"] == "loaded" else {
            return .notInstalled
        }
        let spans = shown.compactMap { $0["NextElapseUSecMonotonic"].flatMap(Systemd.span) }
        let next = spans.min().map { "in \(words(max(.zero, $0 - uptime)))" }
        // As systemd writes it: `Thu 2026-11-26 19:00:10 UTC`. Only a drop-in with OnCalendar= has it.
        let time = unit["NextElapseUSecRealtime"].flatMap { $0.isEmpty ? nil : "at \($0)" }
        return .state(
            active: unit["ActiveState"] ?? "unknown", next: [next, time].compactMap(\.self).joined(separator: " or "))
    }

    /// `4 min 12 s`, `2 h 5 min`: the two largest units.
    private static func words(_ span: Duration) -> String {
        let seconds = Int(span.inSeconds)
        guard seconds > 0 else { return "0 s" }
        let counts = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]
        let parts = zip(counts, ["d", "h", "min", "s"]).drop { $0.0 == 0 }.prefix(2)
        return parts.filter { $0.0 > 0 }.map { "\($0) \($1)" }.joined(separator: " ")
    }

    // MARK: The judgement

    var findings: [Finding] { [timerFinding, lastFinding] }

    private var timerFinding: Finding {
        switch timer {
        case .noSystemd: .skip(.reportTimer, "systemd does not run here")
        case .untold: .skip(.reportTimer, "systemctl gives no state of \(Self.name)")
        case .notInstalled: .skip(.reportTimer, "\(Self.name) is not installed")
        case .state("active", let next):
            .ok(.reportTimer, "\(Self.name) is active" + (next.isEmpty ? "" : ", next run \(next)"))
        case .state(let active, _):
            .warn(.reportTimer, "\(Self.name) is \(active)", fix: "systemctl enable --now \(Self.name)")
        }
    }

    private var lastFinding: Finding {
        guard let last else { return .skip(.reportLast, noRecord) }
        let log = "journalctl -t provider-reporter -n 50"
        let age = max(0, now - last.lastAttempt)
        let saw = "\(last.outcome) \(Self.words(.seconds(age))) ago"
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
