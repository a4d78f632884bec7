import Testing

@testable import ProviderHandlers

@Suite struct ReportCheckTests {
    private func record(_ age: Double, exit: Int32 = 0, interval: Double = 300) -> ReportRecord {
        ReportRecord(
            lastAttempt: 1000 - age, lastSuccess: nil, exitStatus: exit,
            outcome: exit == 0 ? "accepted" : "central refused the key", responseStatus: exit == 0 ? 200 : 401,
            interval: interval)
    }

    private func last(_ record: ReportRecord?) -> Finding {
        ReportCheck(timer: .noSystemd, last: record, now: 1000).findings[1]
    }

    @Test func theLastReport() {
        #expect(last(nil).status == .skip)
        #expect(last(record(900)).status == .ok)
        #expect(last(record(901)).status == .warn)
        #expect(last(record(40, interval: 10)).status == .warn)
        #expect(last(record(5, exit: 77)).status == .warn)
        #expect(last(record(5, exit: 77)).saw == "central refused the key 5 s ago (exit status 77, status 401)")
    }

    @Test func theTimer() {
        func judge(_ text: String) -> ReportCheck.Timer {
            ReportCheck.judge(Systemd.parse("Id=provider-reporter.timer\n" + text), uptime: .seconds(3600))
        }
        #expect(judge("LoadState=not-found\nActiveState=inactive\n") == .notInstalled)
        #expect(judge("LoadState=loaded\nActiveState=active\n") == .state(active: "active", next: ""))
        let active = judge("LoadState=loaded\nActiveState=active\nNextElapseUSecMonotonic=1h 2min 5.5s\n")
        #expect(active == .state(active: "active", next: "in 2 min 5 s"))
        func status(_ timer: ReportCheck.Timer) -> Finding.Status {
            ReportCheck(timer: timer, last: nil, now: 0).findings[0].status
        }
        #expect(status(active) == .ok)
        #expect(status(.state(active: "inactive", next: "")) == .warn)
        #expect(status(.notInstalled) == .skip && status(.noSystemd) == .skip)
    }

    /// The first report after boot has a timer of its own; a drop-in may ask for fixed times.
    @Test func theNextRun() {
        func next(_ own: String, boot: String = "infinity", calendar: String = "") -> String? {
            let shown = [
                [
                    "Id": "provider-reporter.timer", "LoadState": "loaded", "ActiveState": "active",
                    "NextElapseUSecMonotonic": own, "NextElapseUSecRealtime": calendar,
                ],
                ["Id": "provider-reporter-boot.timer", "LoadState": "loaded", "NextElapseUSecMonotonic": boot],
            ]
            guard case .state("active", let next) = ReportCheck.judge(shown, uptime: .seconds(60)) else { return nil }
            return next
        }
        #expect(next("infinity") == "")
        #expect(next("1min 30s") == "in 30 s")
        #expect(next("30s") == "in 0 s")
        #expect(next("infinity", boot: "1min 7s") == "in 7 s")
        #expect(next("2h 1min", boot: "1d") == "in 2 h")
        #expect(next("1d 3h 1min 30s") == "in 1 d 3 h")
        #expect(next("infinity", calendar: "Thu 2026-11-26 19:00:10 UTC") == "at Thu 2026-11-26 19:00:10 UTC")
        #expect(next("2min", calendar: "Thu 2026-11-26 19:00:10 UTC") == "in 1 min or at Thu 2026-11-26 19:00:10 UTC")
    }

    @Test func systemdsSpans() {
        #expect(Systemd.span("1h 2min 3.5s") == .seconds(3723.5))
        #expect(Systemd.span("250ms") == .milliseconds(250))
        for text in ["", "infinity", "5", "min", "1h x"] { #expect(Systemd.span(text) == nil) }
    }

    @Test func withoutARecordItSaysWhy() {
        #expect(ReportCheck(timer: .noSystemd, now: 0).findings[1].status == .skip)
        var configuration = Configuration()
        configuration.server.scoreboard = ""
        #expect(ReportCheck.look(configuration).findings[1].saw.contains("server.scoreboard"))
    }
}
