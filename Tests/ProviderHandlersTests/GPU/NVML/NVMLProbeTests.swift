import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// The child's reading of the library's values; the real child with our own library. One after the other: hundreds of
/// processes at once would leave no descriptors for others.
@Suite("NVML's process", .serialized, .timeLimit(.patience))
struct NVMLProbeTests {
    private func firstWord(_ responses: String) async throws -> NVMLMessage {
        try await FeedFixture(FakeNVML(responses)).word("a word")
    }

    private func gpus(_ responses: String) async throws -> [GPU] {
        guard case .sample(let sample) = try await firstWord(responses) else { return [] }
        return sample.gpus
    }

    @Test("a sample")
    func sample() async throws {
        let word = try await firstWord(
            "count 2\ngpu0.utilization 7\ngpu0.uuid GPU-a\ngpu0.name NVIDIA A\ngpu1.utilization 100\ngpu1.used 20000\ngpu1.free 4112"
        )
        #expect(
            word
                == .sample(
                    GPUSample(
                        gpus: [
                            GPU(
                                index: 0, productName: "NVIDIA A", uuid: "GPU-a", utilization: 7, memoryTotal: 24564,
                                memoryUsed: 4, memoryFree: 24108),
                            GPU(
                                index: 1, productName: "NVIDIA Example", uuid: "GPU-1", utilization: 100,
                                memoryTotal: 24564, memoryUsed: 20000, memoryFree: 4112),
                        ],
                        driverVersion: "560.35.03", cudaVersion: "12.6", origin: .nvml)))
    }

    @Test("a value that is not available is none, and no trouble", arguments: [3, 4, 13, 20, 26])
    func notAvailable(_ code: Int) async throws {
        let gpus = try await gpus("gpu0.utilization !\(code)\ngpu0.memory2 !\(code)\ngpu0.total !\(code)")
        #expect(gpus == [GPU(productName: "NVIDIA Example", uuid: "GPU-0")])
    }

    /// nvmlReturn_t has 1 to 28 and 999, without success and the errors above.
    private static let troubles = (Array(1...28) + [999]).filter { ![3, 4, 13, 20, 26].contains($0) }

    private static func words(_ code: Int) -> String {
        switch code {
        case 9: "Driver Not Loaded"
        case 15: "GPU is lost"
        case 16: "GPU requires reset"
        case 18: "Driver/library version mismatch"
        case 999: "Unknown Error"
        default: "error number \(code)"
        }
    }

    @Test("every other error is trouble of one GPU only", arguments: troubles)
    func trouble(_ code: Int) async throws {
        for call in ["utilization", "handle", "uuid"] {
            let gpus = try await gpus("count 2\ngpu1.\(call) !\(code)\ngpu0.utilization 3")
            #expect(gpus.map(\.fault) == [nil, Self.words(code)], "\(call)")
            #expect(gpus.first?.utilization == 3)
        }
    }

    @Test("an error in place of a detail is no trouble, unless the GPU is lost", arguments: troubles)
    func detail(_ code: Int) async throws {
        let fault = [15, 16].contains(code) ? Self.words(code) : nil
        for call in ["memory2", "mig", "name"] {
            let gpus = try await gpus("count 2\ngpu1.\(call) !\(code)\ngpu0.utilization 3\ngpu1.utilization 4")
            #expect(gpus.map(\.fault) == [nil, fault], "\(call)")
            // Without its name a lost GPU is not even asked for its load.
            if fault == nil || call != "name" { #expect(gpus.map(\.utilization) == [3, 4], "\(call)") }
            if fault == nil {
                #expect(gpus.last?.memoryTotal == (call == "memory2" ? nil : 24564))
                #expect(gpus.last?.productName == (call == "name" ? nil : "NVIDIA Example"))
            }
        }
    }

    @Test("a UUID that is not available is none", arguments: [3, 4])
    func noUUID(_ code: Int) async throws {
        let gpus = try await gpus("gpu0.uuid !\(code)\ngpu0.utilization 3")
        #expect(gpus.map(\.uuid) == [nil] && gpus.map(\.utilization) == [3] && gpus.map(\.fault) == [nil])
    }

    @Test("a utilization out of range is trouble", arguments: ["101", "4294967295"])
    func outOfRange(_ number: String) async throws {
        let gpus = try await gpus("gpu0.utilization \(number)")
        #expect(gpus.map(\.utilization) == [nil])
        #expect(gpus.map(\.fault) == ["utilization: \(number)"])
    }

    @Test("a GPU that only its memory shows to be lost stays in trouble between two looks at the memory")
    func lostByMemory() async throws {
        let fake = try FakeNVML("gpu0.memory2 !15")
        let feed = try FeedFixture(fake)
        try await eventually("many samples") { fake.samples > 30 }
        let samples = feed.words.compactMap { if case .sample(let sample) = $0 { sample } else { nil } }
        #expect(!samples.isEmpty && samples.allSatisfy { $0.gpus[0].fault == "GPU is lost" })
    }

    @Test("only what has changed is told, and that NVML is alive")
    func shortWords() async throws {
        let fake = try FakeNVML("gpu0.utilization 1")
        let feed = try FeedFixture(fake)
        try await feed.word("a sign of life") { $0 == .alive }
        #expect(fake.samples > 2)
        #expect(feed.words.dropFirst().allSatisfy { $0 == .alive })
        try fake.set("gpu0.utilization 2")
        _ = try await feed.sample { $0.gpus[0].utilization == 2 }
        // The memory is looked at once a second.
        try fake.set("gpu0.utilization 2\ngpu0.used 1000\ngpu0.free 23112")
        _ = try await feed.sample { $0.gpus[0].memoryUsed == 1000 && $0.gpus[0].utilization == 2 }
    }

    @Test("an initialization that fails", arguments: (Array(1...28) + [999]))
    func initialization(_ code: Int) async throws {
        let words = Self.words(code)
        let expected: NVMLMessage = code == 9 ? .missing(words) : .failure("NVML: \(words)")
        #expect(try await firstWord("init !\(code)") == expected)
        if code != 9 { #expect(try await firstWord("count !\(code)") == expected) }
    }

    @Test(
        "memory as nvidia-smi counts it, whatever the driver's version",
        arguments: [
            // Since 510, and as its guide says it should be.
            ("gpu0.used 7", 7), ("gpu0.used 7\ngpu0.included 1", 7),
            // Before 510.
            ("gpu0.memory2 !13\ngpu0.used1 828", 828),
        ])
    func memory(_ responses: String, _ used: Int) async throws {
        #expect(try await gpus(responses).map(\.memoryUsed) == [used])
    }

    @Test("MIG devices, with holes between them")
    func mig() async throws {
        let gpus = try await gpus(
            """
            gpu0.mig 1
            gpu0.utilization !3
            gpu0.mig1.exists 0
            gpu0.mig1.uuid MIG-b
            gpu0.mig1.gi 5
            gpu0.mig1.ci 2
            gpu0.mig1.total 20096
            gpu0.mig1.used 19
            gpu0.mig1.free 20076
            gpu0.mig1.reserved 0
            gpu0.mig4.exists 0
            gpu0.mig4.memory2 !4
            gpu0.mig4.total !4
            """)
        let gpu = try #require(gpus.first)
        #expect(gpu.isMIG && gpu.utilization == nil && gpu.fault == nil)
        #expect(
            gpu.migDevices == [
                MIGDevice(
                    index: 1, uuid: "MIG-b", gpuInstance: 5, computeInstance: 2, memoryTotal: 20096, memoryUsed: 19,
                    memoryFree: 20076),
                MIGDevice(index: 4, uuid: "GPU-1004", gpuInstance: 0, computeInstance: 0),
            ])
    }

    @Test("sixteen GPUs")
    func sixteen() async throws {
        let responses = (0..<16).map { "gpu\($0).utilization \($0 * 5)" }.joined(separator: "\n")
        let gpus = try await gpus("count 16\n" + responses)
        #expect(gpus.map(\.utilization) == (0..<16).map { $0 * 5 })
        #expect(gpus.map(\.uuid) == (0..<16).map { "GPU-\($0)" })
    }

    @Test("no library")
    func missing() async throws {
        let word = try await FeedFixture(FakeNVML(nil)).word("a word")
        guard case .missing(let reason) = word else {
            Issue.record("\(word)")
            return
        }
        #expect(reason.hasPrefix("libnvidia-ml.so.1: "))
    }

    @Test("a file that is not a library, and a library of something else")
    func wrongLibrary() async throws {
        let fake = try FakeNVML(nil)
        try fake.install(try fake.directory.write("text", to: "text"))
        guard case .missing = try await FeedFixture(fake).word("a word") else {
            Issue.record("it was loaded")
            return
        }
        let other = try FakeNVML(nil)
        // Any library will do.
        let libraries = ["x86_64", "aarch64"].map { "/lib/\($0)-linux-gnu/libc.so.6" }
        let library: String = try #require(libraries.first { FileManager.default.fileExists(atPath: $0) })
        try other.install(library)
        #expect(try await FeedFixture(other).word("a word") == .failure("NVML: nvmlInit_v2 is missing"))
    }

    @Test("what the library prints does not get in between")
    func printing() async throws {
        let fake = try FakeNVML("init print\ngpu0.utilization print")
        let feed = try FeedFixture(fake)
        try await eventually("some words") { feed.words.count > 3 }
        #expect(feed.words.allSatisfy { if case .failure = $0 { false } else { true } })
    }

    @Test(
        "it ends when its parent has gone, also while NVML hangs",
        arguments: ["", "init hang", "gpu0.utilization hang"])
    func orphan(_ responses: String) async throws {
        let fake = try FakeNVML(responses)
        var pipe: [CInt] = [0, 0]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        #expect(socketpair(AF_UNIX, kind, 0, &pipe) == 0)
        let process = try TestSupport.ChildProcess(
            try BuiltProduct.path("provider-fcgi"), ["--nvml-probe", "5"], environment: fake.environment,
            standardInput: pipe[0])
        close(pipe[0])
        try await eventually("it has begun") { fake.starts == 1 && (responses.hasPrefix("init") || fake.samples > 0) }
        #expect(process.ended == nil)
        close(pipe[1])
        #expect(try await process.waitForExit() == .status(0))
    }
}
