import Testing

@testable import ProviderHandlers

@Suite struct GPUCheckTests {
    private static let gpu = GPU(index: 0, productName: "A", uuid: "GPU-1", utilization: 5)
    private static let sample = GPUSample(gpus: [gpu], driverVersion: "550.1")

    private func check(
        _ status: GPUStatus, nvml: NVMLTrouble? = nil, source: Configuration.GPUSource = .auto,
        worker: WorkerView? = nil
    ) -> [Finding] {
        var configuration = Configuration.GPU()
        configuration.source = source
        return GPUCheck(configuration: configuration, status: status, nvmlTrouble: nvml, time: .milliseconds(120))
            .findings(worker)
    }

    private func worker(_ json: String, age: Double? = nil) throws -> WorkerView {
        var view = try #require(WorkerView(health: Array(json.utf8)))
        view.sampleAge = age
        return view
    }

    @Test func aCPUMachineIsHealthy() {
        let found = check(.absent, nvml: .missing("no library"))
        #expect(found.map(\.status) == [.ok, .skip, .skip])
    }

    @Test func nvidiaSMIInPlaceOfABrokenNVMLWarns() {
        let found = check(.known(Self.sample), nvml: .failing("NVML: version mismatch"))
        #expect(found[0].status == .warn && found[0].saw.contains("version mismatch"))
        #expect(check(.known(Self.sample), nvml: .missing("no library"))[0].status == .ok)
        #expect(check(.known(Self.sample), source: .nvidiaSMI)[0].saw.contains("as gpu.source says"))
    }

    @Test func noSampleIsAFailureOfTheDriver() {
        let found = check(.unknown(reason: "nvidia-smi hangs", last: nil))
        #expect(found.map(\.status) == [.fail, .skip, .skip])
    }

    @Test func aGPUInTroubleIsAFailureOfTheDevices() {
        let found = check(.unknown(reason: "GPU 0 is lost", last: Self.sample))
        #expect(found.map(\.status) == [.ok, .skip, .fail])
    }

    @Test func theWorkersSampleIsCompared() throws {
        let healthy = #"{"data":[],"gpu":{"gpus":[{"uuid":"GPU-1"}]},"provider_type":"ollama"}"#
        let blind = #"{"data":[],"gpu":null,"provider_type":"ollama","errors":["gpu: NVML is silent"]}"#
        #expect(check(.known(Self.sample), worker: try worker(healthy))[1].status == .ok)
        #expect(check(.known(Self.sample), worker: try worker(healthy, age: 10))[1].status == .ok)
        #expect(check(.known(Self.sample), worker: try worker(healthy, age: 10.5))[1].status == .fail)
        #expect(check(.known(Self.sample), worker: try worker(blind))[1].status == .fail)
        #expect(check(.known(Self.sample))[1].saw.contains("was not seen"))
    }
}
