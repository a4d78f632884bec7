import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// How the child is kept: crashes, hangs, restarts.
@Suite("NVML's feed", .serialized, .timeLimit(.patience))
struct NVMLFeedTests {
    private func failure(_ word: NVMLMessage) -> String? {
        if case .failure(let reason) = word { reason } else { nil }
    }

    @Test("a change is seen in the next sample")
    func change() async throws {
        let fake = try FakeNVML("gpu0.utilization 1")
        let feed = try FeedFixture(fake)
        _ = try await feed.sample { $0.gpus[0].utilization == 1 }
        try fake.set("gpu0.utilization 99")
        _ = try await feed.sample("the change") { $0.gpus[0].utilization == 99 }
        #expect(fake.starts == 1)
    }

    @Test(
        "a crash is told, and the next child works",
        arguments: ["init crash", "gpu0.utilization crash", "gpu0.memory2 crash"])
    func crash(_ responses: String) async throws {
        let fake = try FakeNVML(responses)
        let feed = try FeedFixture(fake)
        let word = try await feed.word("a word")
        #expect(word == .failure("NVML's process was ended by signal 11"))
        try await eventually("it is started again") { fake.starts > 2 }
        try fake.set("")
        _ = try await feed.sample()
    }

    @Test("a silent child is killed, and the next child works", arguments: ["hang", "stop"])
    func hang(_ ending: String) async throws {
        for call in ["gpu0.utilization", "gpu0.mig"] {
            let fake = try FakeNVML("")
            let feed = try FeedFixture(fake, timing: FeedFixture.impatient)
            _ = try await feed.sample()
            try fake.set("\(call) \(ending)")
            try await feed.word("it is given up") { failure($0) == "NVML has been silent for 0.5 s" }
            try fake.set("gpu0.utilization 3")
            _ = try await feed.sample { $0.gpus.first?.utilization == 3 }
        }
    }

    @Test("a child without a word is killed after a separate time", arguments: ["hang", "stop"])
    func hangAtStart(_ ending: String) async throws {
        let fake = try FakeNVML("init \(ending)")
        var timing = FeedFixture.patient
        timing.startLimit = .milliseconds(500)
        let feed = try FeedFixture(fake, timing: timing)
        try await feed.word("it is given up") { failure($0) == "NVML has been silent for 0.5 s" }
        try fake.set("")
        _ = try await feed.sample()
    }

    @Test("a GPU that is lost is told, and NVML initialized anew until it is back; so is a driver that was reloaded")
    func lost() async throws {
        let fake = try FakeNVML("count 2\ngpu1.uuid GPU-b")
        let feed = try FeedFixture(fake)
        _ = try await feed.sample { $0.gpus.allSatisfy { $0.fault == nil } }
        try fake.set("count 2\ngpu1.utilization !15\ngpu1.uuid GPU-b")
        let lost = try await feed.sample("it is lost") { $0.gpus[1].fault != nil }
        #expect(lost.gpus[1].fault == "GPU is lost")
        #expect(lost.gpus[1].uuid == "GPU-b")
        #expect(lost.gpus[0].fault == nil)
        try await eventually("new children") { fake.starts > 3 }
        // The new driver finds one more.
        try fake.set("count 3\ngeneration 2\ndriver 570.1\ngpu1.uuid GPU-b")
        let found = try await feed.sample("all are back") { sample in
            sample.gpus.count == 3 && sample.gpus.allSatisfy { $0.fault == nil }
        }
        #expect(found.driverVersion == "570.1")
        #expect(feed.words.allSatisfy { failure($0) == nil })
    }

    @Test("a library that turns up")
    func appears() async throws {
        let fake = try FakeNVML(nil)
        try fake.set("")
        let feed = try FeedFixture(fake)
        try await feed.word("none")
        try fake.install()
        _ = try await feed.sample()
    }

    @Test(
        "stopping ends the child at once, even a hanging child",
        arguments: ["gpu0.utilization hang", "gpu0.mig stop", ""])
    func stop(_ responses: String) async throws {
        let program = try FakeNvidiaSMI()
        try program.behave("echo $$ >$here/process; exec \(try BuiltProduct.path("provider-fcgi")) $@")
        try program.install()
        let fake = try FakeNVML(responses)
        let feed = try FeedFixture(program: program.path, environment: fake.environment)
        try await eventually("it has begun") { fake.starts == 1 }
        let process = try #require(program.process("process"))
        feed.stop()
        try await eventually("it is gone") { !isAlive(process) }
    }

    @Test("after each failure the pause is longer, up to a limit")
    func backoff() async throws {
        let program = try FakeNvidiaSMI("date +%s%N >>$here/times; exit 3")
        var timing = FeedFixture.patient
        timing.pause = .milliseconds(100)
        timing.longestPause = .milliseconds(400)
        let feed = try FeedFixture(program: program.path, environment: [:], timing: timing)
        try await eventually("five runs") { program.runs >= 5 }
        feed.stop()
        let times = try #require(program.written("times")).split(separator: "\n").compactMap { Int($0) }
        let pauses = zip(times, times.dropFirst()).map { ($1 - $0) / 1_000_000 }
        // A lower bound: a slow machine makes them longer.
        for (pause, least) in zip(pauses, [100, 200, 400, 400]) { #expect(pause >= least) }
        #expect(feed.words.allSatisfy { failure($0) == "NVML's process exited with 3" })
    }

    @Test(
        "a child that says something else",
        arguments: [
            ("echo nonsense", "NVML's process wrote an unknown message"),
            ("echo '{\"sample\":{\"_0\":{}}}'", "NVML's process wrote an unknown message"),
            ("printf '\\377\\000\\n'", "NVML's process wrote an unknown message"),
            ("yes '' | head -n 2", "NVML's process wrote an unknown message"),
            ("echo alive", "NVML's process wrote an unknown message"),
            ("exec cat /dev/zero", "NVML's process wrote an endless line and was killed"),
            ("exit 0", "NVML's process exited with 0"),
            ("printf half; exit 0", "NVML's process exited with 0"),
            ("kill -KILL $$", "NVML's process was ended by signal 9"),
        ])
    func hostile(_ script: String, _ reason: String) async throws {
        let program = try FakeNvidiaSMI(script)
        let feed = try FeedFixture(program: program.path, environment: ["PATH": "/usr/bin:/bin"])
        #expect(try await feed.word("a word") == .failure(reason))
    }

    /// Below zero it would have counted as idle (found by `make fuzz TARGET=nvml`).
    @Test("impossible sizes become nil, and an impossible utilization is trouble")
    func impossible() {
        let line =
            #"{"sample":{"_0":{"origin":"NVML","gpus":["#
            + #"{"index":0,"isMIG":true,"utilization":-7,"memoryTotal":-1,"memoryUsed":5,"migDevices":[{"memoryFree":-1}]},"#
            + #"{"index":1,"isMIG":false,"utilization":4294967295,"fault":"a\u0007\nb","migDevices":[]}]}}}"#
        #expect(
            NVMLMessage(line: line.utf8)
                == .sample(
                    GPUSample(
                        gpus: [
                            GPU(memoryUsed: 5, isMIG: true, migDevices: [MIGDevice()], fault: "utilization: -7"),
                            GPU(index: 1, fault: "a b; utilization: 4294967295"),
                        ],
                        origin: .nvml)))
    }

    @Test(
        "short words",
        arguments: [
            ("alive", .alive), ("load 7 - 100", .load([7, nil, 100])), ("load -1", .load([-1])), ("load", .load([])),
            ("alive ", nil), ("loads 1", nil), ("load ", nil), ("load 1  2", nil), ("load 1.5", nil), ("load x", nil),
            ("load 99999999999999999999", nil), ("load\t1", nil), ("", nil),
        ] as [(String, NVMLMessage?)])
    func shortWords(_ line: String, _ word: NVMLMessage?) {
        #expect(NVMLMessage(line: line.utf8) == word ?? .nonsense)
        if let word { #expect(word.line == Array("\(line)\n".utf8)) }
    }

    @Test("short words refer to the child's last sample, and are nonsense without it")
    func completed() async throws {
        let sample = GPUSample(
            gpus: [GPU(uuid: "GPU-a", utilization: 1, memoryTotal: 5), GPU(index: 1, fault: "GPU is lost")],
            origin: .nvml)
        let whole = String(decoding: NVMLMessage.sample(sample).line, as: UTF8.self)
        var changed = sample
        changed.gpus[0].utilization = 9
        var impossible = sample
        impossible.gpus[0].utilization = nil
        impossible.gpus[0].fault = "utilization: 4294967295"
        for (lines, words) in [
            (whole + "load 9 -\nalive\n", [.sample(sample), .sample(changed), .alive]),
            (whole + "load 4294967295 -\nload 9 -\n", [.sample(sample), .sample(impossible), .sample(changed)]),
            (whole + "load 9\nalive\n", [.sample(sample), .nonsense]), ("alive\n", [.nonsense]),
            ("load 1\n" + whole, [.nonsense]),
        ] as [(String, [NVMLMessage])] {
            var child = NVMLChild()
            #expect(Array(lines.utf8).split(separator: 0x0A).compactMap { child.take($0) } == words)
        }
    }

    @Test("the shortest word for a change")
    func words() {
        let sample = GPUSample(gpus: [GPU(utilization: 1, memoryUsed: 5), GPU(index: 1)], origin: .nvml)
        var load = sample
        load.gpus[0].utilization = nil
        load.gpus[1].utilization = 8
        var memory = load
        memory.gpus[0].memoryUsed = 6
        var lost = sample
        lost.gpus[0].fault = "GPU is lost"
        #expect(NVMLProbe.word(for: sample, after: nil) == .sample(sample))
        #expect(NVMLProbe.word(for: sample, after: sample) == nil)
        #expect(NVMLProbe.word(for: load, after: sample) == .load([nil, 8]))
        #expect(NVMLProbe.word(for: memory, after: sample) == .sample(memory))
        #expect(NVMLProbe.word(for: lost, after: sample) == .sample(lost))
        #expect(NVMLProbe.word(for: sample, after: lost) == .sample(sample))
    }

    @Test("a program that cannot be started")
    func notStarted() async throws {
        let feed = try FeedFixture(program: "/nonexistent/provider-fcgi", environment: [:])
        let word = try await feed.word("a word")
        #expect(failure(word)?.hasPrefix("NVML's process cannot be started: ") == true)
    }

    @Test("it gets no descriptor of ours, and of our variables what it needs")
    func inheritance() async throws {
        let descriptor = try inheritableDescriptor()
        defer { close(descriptor) }
        let program = try FakeNvidiaSMI(
            """
            if [ -e $here/arguments ]; then exit 1; fi
            cat /proc/$$/environ >$here/environment
            ls -l /proc/self/fd >$here/descriptors
            echo $@ >$here/arguments
            exit 1
            """)
        let needed = OthersEnvironment.needed.merging(program.environment) { $1 }
        let feed = try FeedFixture(
            program: program.path, environment: needed.merging(OthersEnvironment.secret) { $1 })
        try await feed.word("it has ended")
        let variables = OthersEnvironment.parse(program.written("environment"))
        #expect(variables == needed.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 })
        let descriptors = try #require(program.written("descriptors"))
        #expect(descriptors.contains("0 -> pipe:"))
        #expect(!descriptors.contains("\(descriptor) ->"))
        #expect(program.written("arguments") == "--nvml-probe 5\n")
    }
}
