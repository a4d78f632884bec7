import Dispatch
import Glibc
import Logging
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("GPU sampler", .timeLimit(.patience))
struct GPUSamplerTests {
    private let log = RecordingLog()

    private static func configuration(_ change: (inout Configuration.GPU) -> Void = { _ in }) -> Configuration.GPU {
        var configuration = Configuration.GPU()
        configuration.sampleInterval = .milliseconds(1)
        configuration.maxSampleAge = .seconds(600)
        change(&configuration)
        return configuration
    }

    private func withSampler(
        of fake: FakeNvidiaSMI, _ configuration: Configuration.GPU = configuration(),
        limits: LimitedProcess.Limits = LimitedProcess.Limits(run: .seconds(600), termination: .seconds(600)),
        driver: NVIDIADriver = .nowhere, _ body: (GPUSampler) async throws -> Void
    ) async throws {
        // A slow machine, where a run exceeds its limits, must not look like a machine with an unkillable child.
        let sampler = GPUSampler(
            reader: fake.reader(configuration, limits: limits), driver: driver, configuration: configuration,
            logger: log.logger, hangLimit: .seconds(600))
        sampler.start()
        defer { sampler.stop() }
        try await body(sampler)
    }

    /// Off Swift's pool, as it blocks.
    private func wait(for sampler: GPUSampler, timeout: Duration = .patience) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                sampler.waitForFirstSample(timeout: timeout)
                continuation.resume()
            }
        }
    }

    private func isKnown(_ sampler: GPUSampler) -> Bool {
        if case .known = sampler.status { true } else { false }
    }

    private func reason(_ sampler: GPUSampler) -> String? {
        if case .unknown(let reason, _) = sampler.status { reason } else { nil }
    }

    @Test("GPUs are known after the first sample and announced once")
    func known() async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.twoGPUs("7 %", "N/A")))
        try await withSampler(of: fake) { sampler in
            await wait(for: sampler)
            guard case .known(let sample) = sampler.status else {
                Issue.record("\(sampler.status)")
                return
            }
            #expect(sample.gpus.map(\.utilization) == [7, nil])
            // A second wait is over at once.
            await wait(for: sampler)
            try await eventually("more runs") { fake.runs > 5 }
        }
        #expect(
            log.lines == [
                "info: found 2 GPUs, driver 560.35.03, CUDA 12.6: NVIDIA Example A GPU-aaaa 24564 MiB; "
                    + "NVIDIA Example B GPU-bbbb 24564 MiB"
            ])
    }

    @Test("without nvidia-smi there is no GPU, until it turns up, and then it may not go")
    func lifeOfADriver() async throws {
        let fake = try FakeNvidiaSMI()
        let path = fake.environment["PATH"] ?? ""
        let missing = "nvidia-smi: not found on PATH (\(path)) or in /usr/lib/wsl/lib"
        try fake.behave("echo 'No devices were found'; exit 6")
        try await withSampler(of: fake) { sampler in
            await wait(for: sampler)
            #expect(sampler.status == .absent)
            try fake.install()
            try await eventually("it fails") { reason(sampler) == "nvidia-smi exited with 6: No devices were found" }
            try fake.behave(FakeNvidiaSMI.printing(Documents.document()))
            try await eventually("it works") { isKnown(sampler) }
            try fake.remove()
            try await eventually("it has gone") { reason(sampler) == missing }
            try fake.install()
            try await eventually("it is back") { isKnown(sampler) }
            // A state shows before its line does.
            try await eventually("all is logged") { log.lines.count >= 5 }
        }
        let found =
            "info: found 1 GPU, driver 560.35.03, CUDA 12.6: "
            + "NVIDIA Example 100 GPU-00000000-0000-0000-0000-000000000001 24564 MiB"
        #expect(
            log.lines == [
                "info: no GPU: \(missing)",
                "warning: GPU state unknown: nvidia-smi exited with 6: No devices were found",
                found,
                "warning: GPU state unknown: \(missing)",
                found,
            ])
    }

    @Test("missing at a path that is configured, the state is unknown")
    func missingAtPath() async throws {
        let fake = try FakeNvidiaSMI()
        try await withSampler(of: fake, Self.configuration { $0.nvidiaSMI = fake.path }) { sampler in
            await wait(for: sampler)
            #expect(
                reason(sampler) == "no GPU is found although gpu.nvidia_smi is \"\(fake.path)\": "
                    + "\(fake.path): No such file or directory")
        }
    }

    @Test("a driver that is loaded later makes the state unknown, and still does once it is gone")
    func driverIsLoadedLater() async throws {
        let files = try FakeDriver()
        try await withSampler(of: try FakeNvidiaSMI(), driver: files.driver) { sampler in
            await wait(for: sampler)
            #expect(sampler.status == .absent)
            try files.add("/dev/nvidia0")
            try await eventually("it is seen") {
                reason(sampler)?.hasPrefix("no GPU is found although /dev/nvidia0 is there: nvidia-smi: not f") == true
            }
            try files.remove("/dev/nvidia0")
            try await eventually("it is remembered") {
                reason(sampler)?.hasPrefix("no GPU is found although /dev/nvidia0 was there: ") == true
            }
        }
        #expect(log.lines.first?.hasPrefix("info: no GPU: nvidia-smi: not found on PATH (") == true)
        #expect(
            log.count(containing: "warning: GPU state unknown: no GPU is found although /dev/nvidia0 is there") == 1)
    }

    @Test("what is set speaks for a GPU, from the first look on", arguments: settings)
    func settingSpeaksForAGPU(_ setting: Setting) async throws {
        var configuration = Self.configuration()
        setting.change(&configuration)
        try await withSampler(of: try FakeNvidiaSMI(), configuration) { sampler in
            await wait(for: sampler)
            #expect(reason(sampler)?.hasPrefix("no GPU is found although \(setting.words): ") == true)
            #expect(BusyRule.verdict(sampler.status, configuration) != .idle)
        }
    }

    struct Setting: Sendable, CustomTestStringConvertible {
        let words: String
        let change: @Sendable (inout Configuration.GPU) -> Void

        var testDescription: String { words }
    }

    /// Without a feed of NVML, as in the reporter, the source `nvml` reads by nvidia-smi.
    private static let settings = [
        Setting(words: "gpu.source is nvidia-smi") { $0.source = .nvidiaSMI },
        Setting(words: "gpu.source is nvml") { $0.source = .nvml },
        Setting(words: "gpu.source is amdgpu") { $0.source = .amdgpu },
        Setting(words: "gpu.devices is set") { $0.devices = ["0"] },
        Setting(words: "gpu.nvidia_smi is \"smi-of-mine\"") { $0.nvidiaSMI = "smi-of-mine" },
    ]

    @Test("a device that is absent makes the state unknown until it is there")
    func absentDevice() async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()))
        try await withSampler(of: fake, Self.configuration { $0.devices = ["GPU-bbbb"] }) { sampler in
            await wait(for: sampler)
            #expect(reason(sampler)?.contains("\"GPU-bbbb\"") == true)
            try fake.behave(FakeNvidiaSMI.printing(Documents.twoGPUs()))
            try await eventually("it is there") { isKnown(sampler) }
            guard case .known(let sample) = sampler.status else { return }
            #expect(sample.gpus.map(\.productName) == ["NVIDIA Example B"])
        }
    }

    @Test("nvidia-smi hangs, is killed, and recovers")
    func hang() async throws {
        let fake = try FakeNvidiaSMI("exec sleep 600")
        let limits = LimitedProcess.Limits(run: .milliseconds(200), termination: .milliseconds(200))
        try await withSampler(of: fake, limits: limits) { sampler in
            await wait(for: sampler)
            #expect(reason(sampler) == "nvidia-smi did not end within 0.2 s and was killed")
            try fake.behave(FakeNvidiaSMI.printing(Documents.document()))
            try await eventually("it works") { isKnown(sampler) }
        }
    }

    @Test("while a child cannot be killed the state is unknown and no other is started; once it is gone all goes on")
    func unkillable() async throws {
        // Nothing tries to kill it, so it lives on like an unkillable process.
        let fake = try FakeNvidiaSMI("echo $$ >$here/process; exec sleep 600")
        let configuration = Self.configuration()
        let sampler = GPUSampler(
            reader: fake.reader(configuration), driver: .nowhere, configuration: configuration, logger: log.logger,
            hangLimit: .milliseconds(100))
        sampler.start()
        defer { sampler.stop() }
        await wait(for: sampler)
        #expect(reason(sampler) == "nvidia-smi hangs and cannot be killed")
        try await eventually("it has begun") { fake.process("process") != nil }
        try fake.behave(FakeNvidiaSMI.printing(Documents.document()))
        #expect(fake.runs == 1)
        kill(try #require(fake.process("process")), SIGKILL)
        try await eventually("it works") { isKnown(sampler) }
    }

    @Test("stopping ends a run at once, even a run that ignores SIGTERM")
    func stopWhileRunning() async throws {
        let fake = try FakeNvidiaSMI("trap '' TERM; echo $$ >$here/process; exec sleep 600")
        try await withSampler(of: fake) { sampler in
            await wait(for: sampler, timeout: .milliseconds(10))
            #expect(reason(sampler) == "nvidia-smi has not responded yet")
            try await eventually("it has begun") { fake.process("process") != nil }
        }
        let process = try #require(fake.process("process"))
        try await eventually("it is gone") { !isAlive(process) }
        #expect(log.lines == [])
    }

    @Test("runs never overlap")
    func oneAtATime() async throws {
        let fake = try FakeNvidiaSMI(
            "mkdir $here/lock || echo >>$here/overlaps\n" + FakeNvidiaSMI.printing(Documents.document())
                + "rmdir $here/lock")
        try await withSampler(of: fake) { _ in
            // Not many: the slower the machine, the longer the pause between two.
            try await eventually("some runs") { fake.runs >= 6 }
        }
        #expect(fake.written("overlaps") == nil)
    }

    @Test("once stopped it ends, and what it knew grows old")
    func stop() async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()))
        weak var ended: GPUSampler?
        do {
            let configuration = Self.configuration { $0.maxSampleAge = .seconds(1) }
            let sampler = GPUSampler(
                reader: fake.reader(configuration), driver: .nowhere, configuration: configuration, logger: log.logger)
            ended = sampler
            sampler.start()
            await wait(for: sampler)
            sampler.stop()
            try await eventually("too old") { reason(sampler)?.contains("s old") == true }
        }
        // The sampling keeps it alive until it ends.
        try await eventually("the sampling has ended") { ended == nil }
    }

    @Test(
        "the pause between runs",
        arguments: [
            (.milliseconds(10), .seconds(1), .seconds(1)), (.milliseconds(200), .seconds(1), .milliseconds(1800)),
            (.seconds(1), .seconds(1), .seconds(5)), (.seconds(6), .milliseconds(10), .seconds(5)),
            (.seconds(6), .seconds(60), .seconds(60)),
        ] as [(Duration, Duration, Duration)])
    func pause(_ run: Duration, _ interval: Duration, _ pause: Duration) {
        #expect(GPUSampler.pause(afterRunOf: run, interval: interval) == pause)
    }
}
