import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("nvidia-smi", .timeLimit(.patience))
struct NvidiaSMITests {
    private func failure(_ reader: NvidiaSMI) async -> NvidiaSMIError? {
        do throws(NvidiaSMIError) {
            _ = try await reader.read()
            return nil
        } catch {
            return error
        }
    }

    /// Short enough for a test; only for programs that would never end.
    private let short = LimitedProcess.Limits(run: .milliseconds(300), termination: .milliseconds(300))

    /// Runs a program that hangs with longer and longer limits, until one has let it get as far as `isDone` wants.
    private func readUntil(
        _ fake: FakeNvidiaSMI, _ isDone: (NvidiaSMIError?) -> Bool
    ) async throws {
        for attempt in 0..<7 {
            let limits = LimitedProcess.Limits(
                run: .milliseconds(300 << attempt), termination: .milliseconds(300))
            if isDone(await failure(fake.reader(limits: limits))) { return }
        }
        Issue.record("it never got as far as that")
    }

    @Test("a document is read, by name and by path")
    func document() async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.twoGPUs()) + "echo $@ >$here/arguments")
        #expect(try await fake.reader().read().gpus.map(\.uuid) == ["GPU-aaaa", "GPU-bbbb"])
        #expect(fake.written("arguments") == "-x -q\n")
        var configuration = Configuration.GPU()
        configuration.nvidiaSMI = fake.path
        #expect(try await fake.reader(configuration, environment: [:]).read().gpus.count == 2)
    }

    @Test(
        "a complete document counts however the program ends",
        arguments: ["exit 14", "exit 255", "kill -SEGV $$", "kill -KILL $$", "echo 'GPU is lost' >&2; exit 15"])
    func documentAndFailure(_ ending: String) async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()) + ending)
        #expect(try await fake.reader().read().gpus.count == 1)
    }

    @Test("a complete document counts even when the program then hangs")
    func documentAndHang() async throws {
        let fake = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()) + "exec sleep 600")
        try await readUntil(fake) { $0 == nil }
    }

    @Test(
        "a failure keeps the words, from either stream",
        arguments: [
            ("echo 'No devices were found'; exit 6", "nvidia-smi exited with 6: No devices were found"),
            ("echo 'No devices were found'", "nvidia-smi exited with 0: No devices were found"),
            (
                "echo 'Driver/library version mismatch' >&2; exit 18",
                "nvidia-smi exited with 18: Driver/library version mismatch"
            ),
            ("echo out; echo err >&2; exit 1", "nvidia-smi exited with 1: out"),
            ("printf 'one\\n\\ntwo\\n'; exit 255", "nvidia-smi exited with 255: one; two"),
            ("exit 9", "nvidia-smi exited with 9 and printed nothing"),
            ("kill -SEGV $$", "nvidia-smi was ended by signal 11 and printed nothing"),
            ("echo '<nvidia_smi_log></nvidia_smi_log>'", "nvidia-smi exited with 0 and lists no GPU"),
            (
                "echo '<nvidia_smi_log><gpu>'; echo 'GPU is lost' >&2; exit 15",
                "nvidia-smi exited with 15, and its document is broken or cut short in line 2: no element found: GPU is lost"
            ),
        ])
    func words(_ script: String, _ description: String) async throws {
        let fake = try FakeNvidiaSMI(script)
        #expect(await failure(fake.reader())?.description == description)
    }

    @Test("a hanging program is ended and keeps its words")
    func hang() async throws {
        let fake = try FakeNvidiaSMI("exec sleep 600")
        // It has 600 s to end after SIGTERM: that the test does not take as long shows that it got one.
        let reader = fake.reader(limits: LimitedProcess.Limits(run: .milliseconds(300), termination: .seconds(600)))
        #expect(await failure(reader) == .timedOut(limit: .milliseconds(300), words: ""))
    }

    @Test("a program that ignores SIGTERM is ended too")
    func stubbornHang() async throws {
        let fake = try FakeNvidiaSMI(
            "trap '' TERM; echo 'waiting for GPU 1' >&2; echo $$ >$here/process; exec sleep 600")
        try await readUntil(fake) { error in
            if case .timedOut(_, words: "waiting for GPU 1") = error { true } else { false }
        }
        let process = try #require(fake.process("process"))
        #expect(!isAlive(process))
    }

    @Test("what a hanging program has started is ended with it")
    func hangingDescendant() async throws {
        let fake = try FakeNvidiaSMI("(trap '' TERM; exec sleep 600) & echo $! >$here/process; wait")
        try await readUntil(fake) { _ in fake.process("process") != nil }
        let process = try #require(fake.process("process"))
        try await eventually("it is gone") { !isAlive(process) }
    }

    @Test("a descendant that keeps the output open is not waited for")
    func outputHeldOpen() async throws {
        let fake = try FakeNvidiaSMI(
            "sleep 600 & echo $! >$here/process\n" + FakeNvidiaSMI.printing(Documents.document()))
        defer { if let process = fake.process("process") { kill(process, SIGKILL) } }
        #expect(try await fake.reader().read().gpus.count == 1)
    }

    @Test("closing its output does not let a program run for ever")
    func outputClosed() async throws {
        let fake = try FakeNvidiaSMI("exec >&- 2>&-; exec sleep 600")
        #expect(await failure(fake.reader(limits: short)) == .timedOut(limit: short.run, words: ""))
    }

    @Test("output without end", arguments: ["exec cat /dev/zero", "exec cat /dev/zero >&2", "trap '' TERM; exec yes"])
    func endless(_ script: String) async throws {
        let fake = try FakeNvidiaSMI(script)
        #expect(await failure(fake.reader()) == .tooMuchOutput(limit: 16 * 1024 * 1024))
    }

    @Test("output up to the limit, and noise on the other stream")
    func large() async throws {
        let filler = "<!--" + String(repeating: " ", count: 1_000_000) + "-->"
        let fake = try FakeNvidiaSMI("head -c 1000000 /dev/zero >&2; cat $here/document")
        try fake.directory.write(Documents.document().replacing("<gpu ", with: filler + "<gpu "), to: "document")
        #expect(try await fake.reader().read().gpus.count == 1)
    }

    @Test("it gets no descriptor, no ignored or blocked signal, and of our variables what it needs")
    func inheritance() async throws {
        let descriptor = try inheritableDescriptor()
        defer { close(descriptor) }
        // Of no use to anybody, so that ignoring it disturbs no other test.
        signal(SIGURG, SIG_IGN)
        defer { signal(SIGURG, SIG_DFL) }
        let fake = try FakeNvidiaSMI(
            """
            cat /proc/$$/environ >$here/environment
            grep -E 'SigBlk|SigIgn' /proc/self/status >$here/signals
            exec ls -l /proc/self/fd
            """)
        let needed = OthersEnvironment.needed.merging(fake.environment) { $1 }
        let error = await failure(fake.reader(environment: needed.merging(OthersEnvironment.secret) { $1 }))
        guard case .noSample(.noDocument(let listing), .exited(0)) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(listing.contains("0 -> /dev/null"))
        #expect(listing.contains("2 -> pipe:"))
        #expect(!listing.contains("\(descriptor) ->"))
        let masks = try #require(fake.written("signals")).split(separator: "\n").compactMap {
            UInt64($0.split(separator: "\t").last ?? "", radix: 16)
        }
        // Bits 31 and 32 are signals that the C library keeps to itself.
        #expect(masks.map { $0 & ~0x1_8000_0000 } == [0, 0])
        #expect(OthersEnvironment.parse(fake.written("environment")) == needed)
    }

    @Test("a missing program differs from a program that cannot be started")
    func missing() async throws {
        let fake = try FakeNvidiaSMI()
        var configuration = Configuration.GPU()
        let path = fake.environment["PATH"] ?? ""
        #expect(
            await failure(fake.reader())
                == .missing(program: "nvidia-smi", reason: "not found on PATH (\(path)) or in /usr/lib/wsl/lib"))
        configuration.nvidiaSMI = fake.path
        #expect(
            await failure(fake.reader(configuration))
                == .missing(program: fake.path, reason: "No such file or directory"))
        configuration.nvidiaSMI = ""
        #expect(
            await failure(fake.reader(configuration)) == .missing(program: "", reason: "is not the name of a program"))
        configuration.nvidiaSMI = "nvidia-smi\0/x"
        #expect(
            await failure(fake.reader(configuration))
                == .missing(program: "nvidia-smi\0/x", reason: "is not the name of a program"))
        // A directory is no program.
        try FileManager.default.createDirectory(atPath: fake.path, withIntermediateDirectories: false)
        #expect(
            await failure(fake.reader(environment: ["PATH": "relative::/nowhere:" + fake.directory.path]))
                == .missing(
                    program: "nvidia-smi",
                    reason: "not found on PATH (/nowhere:\(fake.directory.path)) or in /usr/lib/wsl/lib"))
        let nothing = NvidiaSMIError.missing(
            program: "nvidia-smi", reason: "not found on PATH (no absolute directories) or in /usr/lib/wsl/lib")
        #expect(await failure(fake.reader(environment: ["PATH": "relative:"])) == nothing)
        // No message is longer than a line can be.
        let long = "/" + String(repeating: "x", count: 5000)
        guard case .missing(_, let reason, _) = await failure(fake.reader(environment: ["PATH": long])) else {
            Issue.record("it was found")
            return
        }
        #expect(reason.count < 600)
    }

    @Test("after PATH it is looked for in WSL 2's directory", arguments: [true, false])
    func inWSLDirectory(isOnPATH: Bool) async throws {
        let other = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()))
        let onPATH = try FakeNvidiaSMI(isOnPATH ? FakeNvidiaSMI.printing(Documents.twoGPUs()) : nil)
        let reader = NvidiaSMI(
            Configuration.GPU(), environment: onPATH.environment,
            limits: LimitedProcess.Limits(run: .seconds(600), termination: .seconds(600)),
            directory: other.directory.path)
        #expect(try await reader.read().gpus.count == (isOnPATH ? 2 : 1))
        #expect(other.runs == (isOnPATH ? 0 : 1))
    }

    @Test("its limit is the configuration's")
    func configuredLimit() {
        var configuration = Configuration.GPU()
        #expect(NvidiaSMI(configuration).limit == .seconds(6))
        configuration.nvidiaSMITimeout = .seconds(30)
        #expect(NvidiaSMI(configuration).limit == .seconds(31))
    }

    @Test("a program that cannot be started")
    func notStarted() async throws {
        let fake = try FakeNvidiaSMI()
        try fake.directory.write("#!/bin/sh\n", to: "nvidia-smi", mode: 0o644)
        #expect(await failure(fake.reader()) == .notStarted(program: fake.path, reason: "Permission denied"))
        // A later directory on PATH has a program that can be started.
        let good = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.document()))
        let path = fake.directory.path + ":" + good.directory.path + ":/usr/bin:/bin"
        #expect(await failure(good.reader(environment: ["PATH": path])) == nil)
    }

    @Test("one with a missing interpreter, or none", arguments: ["#!/nowhere/sh\n", "\u{7F}ELF"])
    func badProgram(_ contents: String) async throws {
        let fake = try FakeNvidiaSMI()
        try fake.directory.write(contents, to: "nvidia-smi", mode: 0o755)
        guard case .notStarted(let program, _) = await failure(fake.reader()) else {
            Issue.record("it was started")
            return
        }
        #expect(program == fake.path)
    }
}
