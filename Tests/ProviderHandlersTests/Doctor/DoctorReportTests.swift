import Testing

@testable import ProviderHandlers

@Suite struct DoctorReportTests {
    @Test func theOrderIsTheTables() {
        let report = DoctorReport([.ok(.reportLast, "a"), .ok(.config, "b"), .skip(.gpuSample, because: .gpuDriver)])
        #expect(report.checks.map(\.code) == [.config, .gpuSample, .reportLast])
    }

    @Test func exitStatuses() {
        #expect(DoctorReport([.warn(.config, "a", fix: "b"), .skip(.gpuSample, "c")]).exitStatus == 0)
        #expect(DoctorReport([.fail(.config, "a", fix: "b")]).exitStatus == 1)
        #expect(ConfigurationCheck.failed("a.yaml:3: wrong", path: nil).exitStatus == 78)
        #expect(ConfigurationCheck.failed("a", path: nil).checks.count == CheckCode.allCases.count)
    }

    @Test func json() {
        let report = DoctorReport([.fail(.engineReachable, "saw \"it\"", fix: "mend")])
        #expect(
            report.json == #"{"checks":[{"code":"engine.reachable","fix":"mend","saw":"saw \"it\"","status":"fail"}]}"#)
    }

    @Test func text() {
        let report = DoctorReport([.fail(.config, "a\nb", fix: "c"), .ok(.gpuDriver, "d")])
        #expect(
            report.text(isColored: false) == """
                FAIL  config             a b -> c
                ok    gpu.driver         d
                """)
        #expect(report.text(isColored: true).hasPrefix("\u{1B}[1;31mFAIL\u{1B}[0m  config"))
    }

    /// One look that hangs is one failure.
    @Test func overdue() {
        let found = Looks().findings(Configuration(), limit: .seconds(25))
        #expect(found.count == CheckCode.allCases.count)
        #expect(found.filter(\.isFailure).count == 8)
        let two = [Finding].overdue(.tunnelAgent, .tunnelPublic, limit: .seconds(25))
        #expect(two.map(\.status) == [.fail, .skip] && two[0].saw == "no result within 25.0 s")
    }

    @Test(.timeLimit(.patience)) func aLookThatHangsIsLeftBehind() {
        let pending = Pending {
            ReportDelivery.sleep(.seconds(600))
            return 1
        }
        #expect(pending.value(until: .now + .milliseconds(20)) == nil)
        #expect(Pending { 2 }.value(until: .now + .seconds(60)) == 2)
    }

    @Test func numbers() {
        #expect(12.34.formatted(1) == "12.3" && 0.05.formatted(2) == "0.05" && 3.0.formatted(0) == "3")
        #expect(Double.infinity.formatted(1) == "1000000000000000" && (-1.0).formatted(1) == "0.0")
    }
}
