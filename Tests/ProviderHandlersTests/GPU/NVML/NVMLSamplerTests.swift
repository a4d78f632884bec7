import TestSupport
import Testing

@testable import ProviderHandlers

/// The sampler with both sources, each a real program.
@Suite("GPU sampler with NVML", .timeLimit(.patience))
struct NVMLSamplerTests {
    private let log = RecordingLog()

    private func withSampler(
        _ fake: FakeNVML, _ nvidiaSMI: FakeNvidiaSMI, devices: [String] = [],
        source: Configuration.GPUSource = .auto, timing: NVMLFeed.Timing = FeedFixture.patient,
        driver: NVIDIADriver = .nowhere, _ body: (GPUSampler, Configuration.GPU) async throws -> Void
    ) async throws {
        var configuration = Configuration.GPU()
        configuration.sampleInterval = .milliseconds(1)
        configuration.maxSampleAge = .seconds(600)
        configuration.devices = devices
        configuration.source = source
        let feed = NVMLFeed(
            program: try BuiltProduct.path("provider-fcgi"), environment: fake.environment, timing: timing)
        let sampler = GPUSampler(
            reader: nvidiaSMI.reader(configuration), nvml: feed, driver: driver, configuration: configuration,
            logger: log.logger, hangLimit: .seconds(600))
        sampler.start()
        defer { sampler.stop() }
        try await body(sampler, configuration)
    }

    private func known(_ sampler: GPUSampler) -> GPU? {
        if case .known(let sample) = sampler.status { sample.gpus.first } else { nil }
    }

    private static let document = Documents.document([Documents.gpu(uuid: "GPU-0", utilization: "1 %")])

    /// The library lets two more samples through and then no more: what has changed must be in them. Asked is what
    /// `/busy` responds with.
    @Test("a change is in /busy within two samples")
    func freshness() async throws {
        let fake = try FakeNVML("gpu0.utilization 0\nallow 3")
        try await withSampler(fake, try FakeNvidiaSMI()) { sampler, _ in
            let admission = Admission(limit: 64, perSample: 0, scoreboard: .private) { sampler.reading }
            try await eventually("three samples") { fake.samples == 3 && known(sampler) != nil }
            #expect(admission.refusal == nil)
            try fake.set("gpu0.utilization 21\nallow 5")
            try await eventually("busy") { admission.refusal == .gpuBusy }
            try fake.set("gpu0.utilization 20\nallow 7")
            try await eventually("idle") { admission.refusal == nil }
            #expect(fake.samples <= 7)
        }
    }

    @Test("while NVML works nvidia-smi runs for the details alone, and again when they are asked for")
    func details() async throws {
        let nvidiaSMI = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Self.document))
        let fake = try FakeNVML("gpu0.utilization 77\ngpu0.used 1000\ngpu0.free 23112")
        let started = ContinuousClock.now
        try await withSampler(fake, nvidiaSMI) { sampler, _ in
            try await eventually("both have told") {
                known(sampler)?.temperature == 40 && known(sampler)?.utilization == 77
            }
            // NVML works from here on. Before its first word nvidia-smi runs at its own interval.
            let before = nvidiaSMI.runs
            let gpu = try #require(known(sampler))
            #expect(gpu.memoryUsed == 1000)
            #expect(gpu.power == 26)
            #expect(gpu.productName == "NVIDIA Example")
            let samples = fake.samples
            try await eventually("many samples") { fake.samples > samples + 50 }
            let runs = nvidiaSMI.runs
            // On a slow machine NVML's child can be silent for 2 s, and nvidia-smi then takes over.
            func excused() -> Int { Int((ContinuousClock.now - started) / NVMLState.freshness) }
            // The pause that ran at NVML's first word was short: one run more.
            #expect(runs <= before + 1 + excused())
            try nvidiaSMI.behave(FakeNvidiaSMI.printing(Self.document.replacing("<gpu_temp>40", with: "<gpu_temp>41")))
            sampler.refresh()
            try await eventually("the new temperature") { known(sampler)?.temperature == 41 }
            #expect(nvidiaSMI.runs <= runs + 2 + excused())
        }
    }

    @Test(
        "when NVML fails nvidia-smi takes over, until it works again",
        arguments: ["gpu0.utilization crash", "gpu0.utilization hang", "gpu0.utilization stop"])
    func takeover(_ failure: String) async throws {
        let nvidiaSMI = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Self.document))
        let fake = try FakeNVML("gpu0.utilization 77")
        var timing = FeedFixture.impatient
        // The next child hangs from its beginning.
        timing.startLimit = .milliseconds(500)
        try await withSampler(fake, nvidiaSMI, timing: timing) { sampler, _ in
            try await eventually("NVML tells") { known(sampler)?.utilization == 77 }
            try fake.set(failure)
            try await eventually("nvidia-smi tells") { known(sampler)?.utilization == 1 }
            let runs = nvidiaSMI.runs
            try await eventually("it goes on") { nvidiaSMI.runs > runs + 2 }
            try fake.set("gpu0.utilization 78")
            try await eventually("NVML tells again") { known(sampler)?.utilization == 78 }
        }
        #expect(log.count(containing: "nvidia-smi takes over") > 0)
    }

    @Test("a GPU that is lost mid-run is reported")
    func lost() async throws {
        let fake = try FakeNVML("count 2")
        try await withSampler(fake, try FakeNvidiaSMI()) { sampler, configuration in
            try await eventually("known") { known(sampler) != nil }
            try fake.set("count 2\ngpu1.utilization !15")
            try await eventually("lost") {
                BusyRule.verdict(sampler.status, configuration) == .unknown("GPU 1 (GPU-1): GPU is lost")
            }
            try fake.set("count 2")
            try await eventually("back") { known(sampler) != nil }
        }
        #expect(log.count(containing: "warning: GPU state unknown: GPU 1 (GPU-1): GPU is lost") > 0)
    }

    @Test("devices are selected alike", arguments: [["1"], ["GPU-1"], ["MIG-b"]])
    func devices(_ devices: [String]) async throws {
        let fake = try FakeNVML(
            "count 2\ngpu0.utilization 100\ngpu1.mig 1\ngpu1.utilization !3\ngpu1.mig2.exists 0\ngpu1.mig2.uuid MIG-b")
        try await withSampler(fake, try FakeNvidiaSMI(), devices: devices) { sampler, configuration in
            try await eventually("known") { known(sampler) != nil }
            #expect(known(sampler)?.index == 1)
            #expect(known(sampler)?.migDevices.map(\.uuid) == ["MIG-b"])
            #expect(BusyRule.verdict(sampler.status, configuration) == .unreadable)
        }
    }

    @Test("with a driver's file, and neither library nor nvidia-smi, the state is unknown and names both")
    func onlyAFile() async throws {
        let files = try FakeDriver()
        try files.add("/dev/dxg")
        try await withSampler(try FakeNVML(nil), try FakeNvidiaSMI(), driver: files.driver) { sampler, _ in
            try await eventually("unknown") {
                guard case .unknown(let reason, _) = sampler.status else { return false }
                return reason.hasPrefix("no GPU is found although /dev/dxg is there: nvidia-smi: not found on PATH (")
                    && reason.contains("; NVML: libnvidia-ml.so.1: ")
                    && reason.contains("/usr/lib/wsl/lib/libnvidia-ml.so.1: ")
            }
        }
    }

    @Test("a driver's file changes nothing where NVML works, nor for a moment when it fails")
    func fileBesideNVML() async throws {
        let files = try FakeDriver()
        try files.add("/dev/nvidia0")
        let fake = try FakeNVML("gpu0.utilization 7")
        let nvidiaSMI = try FakeNvidiaSMI()
        try await withSampler(fake, nvidiaSMI, driver: files.driver) { sampler, _ in
            try await eventually("known") { known(sampler)?.utilization == 7 }
            try fake.set("gpu0.utilization crash")
            try await eventually("it has failed") { log.count(containing: "nvidia-smi takes over") > 0 }
            // Its last sample is not too old yet.
            #expect(known(sampler)?.utilization == 7)
        }
    }

    @Test("source nvidia-smi never loads the library")
    func onlyNvidiaSMI() async throws {
        let fake = try FakeNVML("gpu0.utilization 77")
        let nvidiaSMI = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Self.document))
        try await withSampler(fake, nvidiaSMI, source: .nvidiaSMI) { sampler, _ in
            try await eventually("some runs") { nvidiaSMI.runs > 4 }
            #expect(known(sampler)?.utilization == 1)
            #expect(fake.starts == 0)
        }
    }
}
