import Testing

@testable import ProviderHandlers

@Suite("Busy rule")
struct BusyRuleTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var utilizations: [Int?]
        var policy = Configuration.BusyPolicy.any
        var threshold = 20
        var verdict: BusyVerdict
        var utilization: Int?
        var testDescription: String { "\(utilizations) \(policy) above \(threshold)" }
    }

    @Test(
        arguments: [
            Row(utilizations: [0], verdict: .idle, utilization: 0),
            Row(utilizations: [20], verdict: .idle, utilization: 20),
            Row(utilizations: [21], verdict: .busy, utilization: 21),
            Row(utilizations: [0, 21, 3], verdict: .busy, utilization: 21),
            Row(utilizations: [0, 20, 3], verdict: .idle, utilization: 20),
            Row(utilizations: [nil, 21], verdict: .busy, utilization: 21),
            Row(utilizations: [nil, 0], verdict: .idle, utilization: 0),
            Row(utilizations: [nil], verdict: .unreadable, utilization: nil),
            Row(utilizations: [nil, nil], policy: .all, verdict: .unreadable, utilization: nil),
            Row(utilizations: [21, 100], policy: .all, verdict: .busy, utilization: 21),
            Row(utilizations: [20, 100], policy: .all, verdict: .idle, utilization: 20),
            Row(utilizations: [nil, 21], policy: .all, verdict: .busy, utilization: 21),
            Row(utilizations: [0], threshold: 0, verdict: .idle, utilization: 0),
            Row(utilizations: [1], threshold: 0, verdict: .busy, utilization: 1),
            Row(utilizations: [100], threshold: 100, verdict: .idle, utilization: 100),
        ])
    func table(_ row: Row) {
        var configuration = Configuration.GPU()
        configuration.busyPolicy = row.policy
        configuration.busyThreshold = row.threshold
        let sample = GPUSample(gpus: row.utilizations.map { GPU(utilization: $0) })
        #expect(BusyRule.verdict(.known(sample), configuration) == row.verdict)
        #expect(BusyRule.utilization(sample, configuration) == row.utilization)
    }

    @Test("a machine without GPUs is never busy, one in an unknown state always is")
    func otherStates() {
        let idle = GPUSample(gpus: [GPU(utilization: 0)])
        #expect(BusyRule.verdict(.absent, Configuration.GPU()) == .idle)
        #expect(BusyRule.verdict(.unknown(reason: "why", last: idle), Configuration.GPU()) == .unknown("why"))
    }
}

@Suite("GPU selection")
struct GPUSelectionTests {
    private let sample = GPUSample(
        gpus: ["GPU-a", "GPU-b", "GPU-c", nil].enumerated().map { GPU(index: $0, uuid: $1) }, driverVersion: "1",
        cudaVersion: "2")

    @Test(
        arguments: [
            ([], ["GPU-a", "GPU-b", "GPU-c", nil], []),
            (["0"], ["GPU-a"], []),
            (["3"], [nil], []),
            (["GPU-c"], ["GPU-c"], []),
            (["GPU-c", "0"], ["GPU-a", "GPU-c"], []),
            (["1", "GPU-b", "1"], ["GPU-b"], []),
            (["4"], [], ["4"]),
            (["-1"], [], ["-1"]),
            (["GPU-b", "GPU-x", "9"], ["GPU-b"], ["GPU-x", "9"]),
            (["99999999999999999999"], [], ["99999999999999999999"]),
            ([""], [], [""]),
        ] as [([String], [String?], [String])])
    func table(_ devices: [String], _ selected: [String?], _ absent: [String]) {
        let result = sample.selecting(devices)
        #expect(result.sample.gpus.map(\.uuid) == selected)
        #expect(result.absent == absent)
        #expect(result.sample.driverVersion == "1")
        #expect(result.sample.cudaVersion == "2")
    }

    @Test("the report counts the selected and shows the first of them")
    func report() {
        var configuration = Configuration.GPU()
        configuration.busyPolicy = .all
        var sample = sample
        for index in sample.gpus.indices { sample.gpus[index].utilization = 10 * (index + 1) }
        let report = GPUReport(sample.selecting(["2", "1"]).sample, isBusy: true, configuration: configuration)
        #expect(report.gpuCount == 2)
        #expect(report.uuid == "GPU-b")
        #expect(report.utilization == 20)
        #expect(report.gpus.map(\.index) == [1, 2])
    }

    @Test("the UUID of a MIG device selects its GPU and narrows it; the GPU's own keeps all of them")
    func mig() {
        var sample = sample
        sample.gpus[1].migDevices = ["MIG-a", "MIG-b", "MIG-c"].map { MIGDevice(uuid: $0) }
        let narrowed = sample.selecting(["MIG-c", "MIG-a", "MIG-x"])
        #expect(narrowed.sample.gpus.map(\.index) == [1])
        #expect(narrowed.sample.gpus.first?.migDevices.map(\.uuid) == ["MIG-a", "MIG-c"])
        #expect(narrowed.absent == ["MIG-x"])
        let whole = sample.selecting(["MIG-c", "1"])
        #expect(whole.sample.gpus.first?.migDevices.count == 3)
        #expect(whole.absent.isEmpty)
    }
}
