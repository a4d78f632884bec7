import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

extension FakeSysfs {
    var reader: AMDGPU { AMDGPU(root: directory.path) }
}

@Suite("AMD GPUs", .timeLimit(.patience))
struct AMDGPUTests {
    private let log = RecordingLog()

    private func read(_ files: [String: String]) async throws -> GPU {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", files)
        return try #require(sysfs.reader.read()?.gpus.first)
    }

    private static func full(_ changes: [String: String?]) -> [String: String] {
        var files = FakeSysfs.full
        for (file, contents) in changes { files[file] = contents }
        return files
    }

    @Test("a GPU with every file")
    func full() async throws {
        #expect(
            try await read(FakeSysfs.full)
                == GPU(
                    productName: "AMD Example 7900", uuid: "GPU-1a2b3c4d5e6f7081", utilization: 37, memoryTotal: 24560,
                    memoryUsed: 1024, memoryFree: 23536, temperature: 54, power: 26))
    }

    @Test("a GPU without files")
    func empty() async throws {
        #expect(try await read([:]) == GPU(productName: "AMD GPU"))
        #expect(try await read(["device": "0x744c\n", "product_name": "\n"]).productName == "AMD GPU (0x744c)")
    }

    @Test(
        "utilization",
        arguments: [
            ("0\n", 0), ("100\n", 100), ("21", 21), (" 7 \n", 7), ("N/A\n", nil), ("", nil), ("\n", nil),
        ] as [(String, Int?)])
    func utilization(_ contents: String, _ value: Int?) async throws {
        let gpu = try await read(Self.full(["gpu_busy_percent": contents]))
        #expect(gpu.utilization == value)
        #expect(gpu.fault == nil)
    }

    @Test(
        "what is no number in range is trouble",
        arguments: [
            ("101\n", "101"), ("-1\n", "-1"), ("+5\n", "+5"), ("4294967295\n", "4294967295"), ("1e1\n", "1e1"),
            ("99999999999999999999\n", "99999999999999999999"), ("ERR!\n", "ERR!"), ("7 %\n", "7 %"),
            ("3\u{0}7\n", "37"),
            ("\u{0}\u{1}", "unprintable text"), ("7\n8\n", "7 8"),
        ])
    func noNumber(_ contents: String, _ words: String) async throws {
        let gpu = try await read(Self.full(["gpu_busy_percent": contents]))
        #expect(gpu.utilization == nil)
        #expect(gpu.fault == "gpu_busy_percent: \(words)")
    }

    @Test("other values that make no sense are no trouble", arguments: ["ERR!\n", "-1\n", ""])
    func otherValues(_ contents: String) async throws {
        let names = ["mem_info_vram_total", "mem_info_vram_used", "hwmon/hwmon3/temp1_input"]
        let gpu = try await read(Self.full(Dictionary(uniqueKeysWithValues: names.map { ($0, contents) })))
        #expect(gpu.fault == nil && gpu.utilization == 37 && gpu.memoryTotal == nil && gpu.temperature == nil)
    }

    @Test("asleep it is idle, and its load is not looked at")
    func suspended() async throws {
        // A look at this one would be a failure.
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", Self.full(["power/runtime_status": "suspended\n", "gpu_busy_percent": nil]))
        try FileManager.default.createDirectory(
            atPath: sysfs.directory.path + "/class/drm/card0/device/gpu_busy_percent",
            withIntermediateDirectories: false)
        let gpu = try #require(sysfs.reader.read()?.gpus.first)
        #expect(gpu.utilization == 0)
        #expect(gpu.fault == nil)
    }

    @Test("a GPU with an unreadable load is in trouble")
    func trouble() async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", Self.full(["gpu_busy_percent": String(repeating: "1", count: 5000)]))
        #expect(
            sysfs.reader.read()?.gpus.first?.fault == "gpu_busy_percent: expected at most 4096 bytes, found more")
    }

    @Test("power by its other name, and sensors that are not there")
    func sensors() async throws {
        let gpu = try await read(
            Self.full(["hwmon/hwmon3/power1_average": nil, "hwmon/hwmon3/power1_input": "9000000\n"]))
        #expect(gpu.power == 9)
        let without = try await read(
            Self.full(["hwmon/hwmon3/power1_average": nil, "hwmon/hwmon3/temp1_input": nil]))
        #expect(without.power == nil && without.temperature == nil)
    }

    @Test("cards in their order, without connectors and other drivers")
    func several() async throws {
        let sysfs = try FakeSysfs()
        #expect(sysfs.reader.read() == nil)
        try sysfs.add("card0", driver: "i915")
        try sysfs.add("renderD128", FakeSysfs.full)
        #expect(sysfs.reader.read() == nil)
        try sysfs.add("card10", ["unique_id": "c"])
        try sysfs.add("card2", ["unique_id": "b"])
        try sysfs.add("card1", ["unique_id": "a"])
        try sysfs.add("card1-DP-1", FakeSysfs.full)
        let sample = try #require(sysfs.reader.read())
        #expect(sample.gpus.map(\.uuid) == ["GPU-a", "GPU-b", "GPU-c"])
        #expect(sample.gpus.map(\.index) == [0, 1, 2])
        #expect(AMDGPU(root: "/nonexistent").read() == nil)
    }

    // MARK: In the sampler

    private func withSampler(
        _ sysfs: FakeSysfs, _ nvidiaSMI: FakeNvidiaSMI, nvml: FakeNVML? = nil, devices: [String] = [],
        source: Configuration.GPUSource = .auto, driver: NVIDIADriver = .nowhere, program name: String = "nvidia-smi",
        _ body: (GPUSampler, Configuration.GPU) async throws -> Void
    ) async throws {
        var configuration = Configuration.GPU()
        configuration.sampleInterval = .milliseconds(1)
        configuration.maxSampleAge = .seconds(600)
        configuration.devices = devices
        configuration.source = source
        configuration.nvidiaSMI = name
        let program = try BuiltProduct.path("provider-fcgi")
        let feed = nvml.map { NVMLFeed(program: program, environment: $0.environment, timing: FeedFixture.patient) }
        let sampler = GPUSampler(
            reader: nvidiaSMI.reader(configuration), nvml: feed, amd: sysfs.reader, driver: driver,
            configuration: configuration, logger: log.logger, hangLimit: .seconds(600))
        sampler.start()
        defer { sampler.stop() }
        try await body(sampler, configuration)
    }

    private func known(_ sampler: GPUSampler) -> GPU? {
        if case .known(let sample) = sampler.status { sample.gpus.first } else { nil }
    }

    private func reason(_ sampler: GPUSampler) -> String? {
        if case .unknown(let reason, _) = sampler.status { reason } else { nil }
    }

    @Test("the same rule, the same selection; a vanished GPU is lost, and found again", arguments: [true, false])
    func life(hasFeed: Bool) async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", Self.full(["gpu_busy_percent": "100\n", "unique_id": "other\n"]))
        try sysfs.add("card1", FakeSysfs.full)
        let nvml = hasFeed ? try FakeNVML(nil) : nil
        try await withSampler(sysfs, try FakeNvidiaSMI(), nvml: nvml, devices: ["1"]) { sampler, configuration in
            try await eventually("known") { known(sampler)?.utilization == 37 }
            #expect(BusyRule.verdict(sampler.status, configuration) == .busy)
            try sysfs.write("20\n", "card1", "gpu_busy_percent")
            try await eventually("idle") { BusyRule.verdict(sampler.status, configuration) == .idle }
            try sysfs.remove("card1")
            try await eventually("absent") {
                reason(sampler)?.contains("is not among the 1 GPUs that amdgpu lists") == true
            }
            try sysfs.remove("card0")
            try await eventually("gone") { reason(sampler) == "no GPU with the amdgpu driver is left" }
            try sysfs.add("card0")
            try sysfs.add("card1", FakeSysfs.full)
            try await eventually("back") { known(sampler)?.utilization == 37 }
        }
        #expect(log.count(containing: "found 1 GPU of 2: AMD Example 7900 GPU-1a2b3c4d5e6f7081 24560 MiB") > 0)
    }

    @Test("beside GPUs of NVIDIA's they do not count", arguments: [true, false])
    func besideNVIDIA(byNVML: Bool) async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", Self.full(["gpu_busy_percent": "100\n"]))
        let nvidiaSMI = try FakeNvidiaSMI(byNVML ? nil : FakeNvidiaSMI.printing(Documents.document()))
        let nvml = try FakeNVML(byNVML ? "gpu0.utilization 7" : nil)
        try await withSampler(sysfs, nvidiaSMI, nvml: nvml) { sampler, _ in
            try await eventually("NVIDIA's") { known(sampler)?.utilization == 7 }
            guard byNVML else { return }
            let samples = nvml.samples
            try await eventually("more samples") { nvml.samples > samples + 20 }
            #expect(known(sampler)?.utilization == 7)
            // Gone, they are not replaced by AMD's.
            try nvml.set("init !999\ngpu0.utilization !999")
            try await eventually("lost") { reason(sampler) != nil }
            #expect(known(sampler) == nil)
        }
    }

    @Test("a source that is NVIDIA's leaves them alone", arguments: [Configuration.GPUSource.nvidiaSMI, .nvml])
    func otherSource(_ source: Configuration.GPUSource) async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", FakeSysfs.full)
        let nvml = try FakeNVML(nil)
        try await withSampler(sysfs, try FakeNvidiaSMI(), nvml: nvml, source: source) { sampler, _ in
            switch source {
            case .nvml: try await eventually("unknown") { reason(sampler)?.hasPrefix("NVML: libnvidia-ml") == true }
            default:
                try await eventually("unknown") {
                    reason(sampler)?.hasPrefix("no GPU is found although gpu.source is nvidia-smi: ") == true
                }
            }
        }
    }

    @Test(
        "where something speaks for a GPU of NVIDIA's they do not count",
        arguments: ["/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg"])
    func besideADriver(_ file: String) async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", FakeSysfs.full)
        let files = try FakeDriver()
        try await withSampler(sysfs, try FakeNvidiaSMI(), driver: files.driver) { sampler, _ in
            try await eventually("known") { known(sampler)?.utilization == 37 }
            try files.add(file)
            try await eventually("unknown") {
                reason(sampler)?.hasPrefix("no GPU is found although \(file) is there: nvidia-smi: ") == true
            }
        }
        try await withSampler(sysfs, try FakeNvidiaSMI(), program: "my-smi") { sampler, _ in
            try await eventually("unknown") {
                reason(sampler)?.hasPrefix("no GPU is found although gpu.nvidia_smi is \"my-smi\": ") == true
            }
        }
    }

    @Test(
        "by their own source they count, whatever else is there, and nothing else is started", arguments: [true, false])
    func ownSource(isWorker: Bool) async throws {
        let sysfs = try FakeSysfs()
        try sysfs.add("card0", FakeSysfs.full)
        let files = try FakeDriver()
        try files.add("/dev/nvidia0")
        let nvidiaSMI = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()))
        let nvml = try FakeNVML("gpu0.utilization 7")
        try await withSampler(
            sysfs, nvidiaSMI, nvml: isWorker ? nvml : nil, devices: ["0"], source: .amdgpu, driver: files.driver
        ) { sampler, configuration in
            try await eventually("known") { known(sampler)?.utilization == 37 }
            #expect(BusyRule.verdict(sampler.status, configuration) == .busy)
            try sysfs.write("5\n", "card0", "gpu_busy_percent")
            try await eventually("idle") { BusyRule.verdict(sampler.status, configuration) == .idle }
            try sysfs.remove("card0")
            try await eventually("gone") { reason(sampler) == "no GPU with the amdgpu driver is left" }
        }
        #expect(nvidiaSMI.runs == 0)
        #expect(nvml.starts == 0)
    }

    @Test("by their own source no card is unknown, until there is one")
    func ownSourceWithoutCard() async throws {
        let sysfs = try FakeSysfs()
        try await withSampler(sysfs, try FakeNvidiaSMI(), source: .amdgpu) { sampler, _ in
            try await eventually("unknown") {
                reason(sampler)
                    == "no GPU is found although gpu.source is amdgpu: amdgpu: no card in /sys/class/drm has this driver"
            }
            try sysfs.add("card0", FakeSysfs.full)
            try await eventually("known") { known(sampler)?.utilization == 37 }
        }
    }
}
