import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

private typealias Child = ProviderHandlers.ChildProcess

/// Stopping, and what a child leaves; the tests of nvidia-smi and of NVML's feed show the rest.
@Suite("A child process", .timeLimit(.patience))
struct ChildProcessTests {
    private static func shell(_ script: String) -> Child.Command {
        .init(path: "/bin/sh", arguments: ["sh", "-c", script], environment: ["PATH": "/usr/bin:/bin"])
    }

    private final class Written: Sendable {
        let text = Locked("")
    }

    /// Runs a script to its end, off Swift's pool.
    private func run(
        _ child: Child, _ script: String, output: Written = Written()
    ) async throws -> Child.Ending {
        try await onThread {
            try child.run(Self.shell(script), deadline: .now + .seconds(600)) { event in
                if case .output(let bytes) = event {
                    output.text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
                }
                return nil
            }
        }
    }

    @Test("a child that runs is killed by stop, and no other may be started")
    func stop() async throws {
        let child = Child()
        let directory = try TemporaryDirectory()
        async let ending = run(child, "echo >'\(directory.path)/begun'; exec sleep 600")
        try await eventually("it has begun") { FileManager.default.fileExists(atPath: directory.path + "/begun") }
        child.stop(waitingForStart: .seconds(600))
        #expect(try await ending == .signaled(SIGKILL))
        #expect(throws: Child.NotStarted.self) { try child.run(Self.shell("exit 0"), deadline: .now) { _ in nil } }
    }

    @Test("stop, at any moment of the start, leaves no child behind")
    func stopWhileStarting() async throws {
        let directory = try TemporaryDirectory()
        for round in 0..<50 {
            let child = Child()
            async let ending = try? run(child, "echo $$ >>'\(directory.path)/processes'; exec sleep 600")
            try await onThread {
                usleep(UInt32(round * 40))
                child.stop(waitingForStart: .seconds(600))
            }
            let found = await ending
            #expect(found == nil || found == .signaled(SIGKILL))
        }
        let processes = (try? String(contentsOfFile: directory.path + "/processes", encoding: .utf8)) ?? ""
        for line in processes.split(separator: "\n") { #expect(!isAlive(try #require(pid_t(line)))) }
    }

    @Test("a program that cannot be started blocks nothing")
    func notStarted() async throws {
        let child = Child()
        let command = Child.Command(path: "/nonexistent", arguments: ["x"], environment: [:])
        #expect(throws: Child.NotStarted.self) {
            try child.run(command, deadline: .now) { _ in nil }
        }
        child.stop(waitingForStart: .seconds(600))
    }

    @Test("all that a child has written is read, and what it leaves is killed")
    func leftovers() async throws {
        let output = Written()
        let ending = try await run(
            Child(), "sleep 600 & echo $!; seq 10000; exit 3", output: output)
        #expect(ending == .exited(3))
        let lines = output.text.withLock { $0 }.split(separator: "\n")
        #expect(lines.count == 10001)
        #expect(lines.last == "10000")
        let left = try #require(lines.first.flatMap { pid_t($0) })
        try await eventually("it is gone") { !isAlive(left) }
    }

    @Test("a deadline comes again while a later deadline is given")
    func deadlines() async throws {
        let child = Child()
        let count = try await onThread {
            var count = 0
            _ = try child.run(Self.shell("exec sleep 600"), deadline: .now) { _ in
                count += 1
                if count == 3 { child.signal(SIGKILL) }
                return count < 3 ? .now + .milliseconds(10) : nil
            }
            return count
        }
        #expect(count == 3)
    }
}
