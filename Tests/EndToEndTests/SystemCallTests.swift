import Foundation
import TestSupport
import Testing

/// What a token costs the worker, counted by strace.
@Suite(
    .enabled(if: Tool.isExpected("strace"), "strace is missing"),
    .enabled("this user may not trace processes (ptrace)") { try await Strace.mayTrace() })
struct SystemCallTests {
    /// Waiting, reading, looking whether there is more, writing.
    @Test func aForwardedChunkTakesFour() async throws {
        let first = 5
        let last = 45
        let seen = Gate()
        let deployment = try await Deployment(engine: { request in
            try request.startStream()
            for number in 0...last {
                try request.event("token \(number)")
                try seen.wait()
            }
            try request.event("[DONE]")
            try request.endStream()
        })
        let strace = try await Strace.attach(to: deployment.worker.pid)
        try await onThread {
            let response = try deployment.startCompletion().response()
            for number in 0...last {
                let chunk = try response.body.next()
                #expect(String(decoding: chunk, as: UTF8.self) == "data: token \(number)\n\n")
                seen.open()
            }
            _ = try response.body.all()
        }
        kill(strace.pid, SIGINT)
        try await strace.waitForExit()

        // "1234  recvfrom(13, …", or "1234  <... recvfrom resumed>…" for the rest of a call that had to wait.
        let lines = strace.standardOutput.split(separator: "\n")
        func isReceived(_ number: Int, _ line: Substring) -> Bool {
            line.contains("recvfrom") && line.contains(#"data: token \#(number)\n"#)
        }
        let start = try #require(lines.firstIndex { isReceived(first, $0) })
        let end = try #require(lines.firstIndex { isReceived(last, $0) })
        let thread = try #require(lines[start].split(separator: " ").first)
        let calls = lines[start..<end].filter { $0.hasPrefix(thread + " ") && !$0.contains(" <... ") }
        // Without a pipe that strace reads behind, some calls of this thread are there at least.
        try #require(calls.count >= 2 * (last - first))
        // A timer that libcurl has from connecting may end a wait with nothing to do; a fifth call for each chunk is
        // far above that.
        let allowed = 4 * (last - first) + (last - first) / 4
        #expect(calls.count <= allowed, "\(calls.joined(separator: "\n"))")
    }
}

/// strace, attached to a process that runs already.
private enum Strace {
    /// Every thread of the process, with its calls on standard output.
    static func attach(to pid: pid_t) async throws -> ChildProcess {
        let strace = try ChildProcess("strace", ["-f", "-o", "/dev/stdout", "-p", String(pid)])
        try await eventually("strace is attached") {
            if let ended = strace.ended {
                throw NeverHappened(description: "strace ended (\(ended)): \(strace.standardError)")
            }
            return strace.standardError.contains("attached")
        }
        return strace
    }

    /// Whether one child of this process may trace another: containers and Yama can forbid it.
    static func mayTrace() async throws -> Bool {
        guard Tool.path("strace") != nil else { return true }
        let sleeper = try ChildProcess("sleep", ["60"])
        let strace = try? await attach(to: sleeper.pid)
        return strace != nil
    }
}
