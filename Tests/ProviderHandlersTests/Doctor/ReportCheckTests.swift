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
        func judge(_ text: String) -> ReportCheck.Timer { ReportCheck.judge(Systemd.parse(text)) }
        #expect(judge("Id=t\nLoadState=not-found\nActiveState=inactive\n") == .notInstalled)
        let active = judge("Id=t\nLoadState=loaded\nActiveState=active\nNextElapseUSecMonotonic=1h 2min\n")
        #expect(active == .state(active: "active", next: "1h 2min"))
        func status(_ timer: ReportCheck.Timer) -> Finding.Status {
            ReportCheck(timer: timer, last: nil, now: 0).findings[0].status
        }
        #expect(status(active) == .ok)
        #expect(status(.state(active: "inactive", next: "")) == .warn)
        #expect(status(.notInstalled) == .skip && status(.noSystemd) == .skip)
    }
}
