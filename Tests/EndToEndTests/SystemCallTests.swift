import Foundation
import TestSupport
import Testing

/// What a token and an HMAC cost the worker, counted by strace.
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

        let lines = Strace.calls(strace.standardOutput)
        func isReceived(_ number: Int, _ line: String) -> Bool {
            line.contains("recvfrom") && line.contains(#"data: token \#(number)\n"#)
        }
        let start = try #require(lines.firstIndex { isReceived(first, $0) })
        let end = try #require(lines.firstIndex { isReceived(last, $0) })
        let thread = try #require(lines[start].split(separator: " ").first)
        let calls = lines[start..<end].filter { $0.hasPrefix(thread + " ") && !Strace.isInVain($0) }
        // Without a pipe that strace reads behind, some calls of this thread are there at least.
        try #require(calls.count >= 2 * (last - first))
        // A chunk that comes in two pieces takes a few calls more. A fifth call for each chunk is far above that.
        let allowed = 4 * (last - first) + (last - first) / 4
        #expect(calls.count <= allowed, "\(calls.joined(separator: "\n"))")
        #expect(calls.count { $0.contains(" write(") } <= (last - first) + (last - first) / 8)
    }

    /// Validation is one request and one response on an existing connection to the central system.
    @Test func anHMACTakesOneRoundTrip() async throws {
        // The first makes the connections. Of the others the cheapest counts: some start a thread as well.
        let hasHMAC = [true] + Array(repeating: false, count: 5) + Array(repeating: true, count: 5)
        let deployment = try await Deployment()
        let strace = try await Strace.attach(to: deployment.worker.pid)
        try await onThread {
            for hasHMAC in hasHMAC {
                let status = try deployment.complete(headers: hasHMAC ? ["X-Inferoute-HMAC: abc"] : []).status
                #expect(status == 200)
            }
        }
        var counted: [[String]] = []
        try await eventually("the worker's threads are back in accept") {
            let lines = Strace.calls(strace.standardOutput)
            let completions = lines.indices.filter {
                lines[$0].contains("sendto(") && lines[$0].contains("POST /v1/chat")
            }
            counted = completions.compactMap { Self.calls(around: $0, of: lines) }
            return counted.count == hasHMAC.count
        }
        let without = try #require(counted[1...5].min { $0.count < $1.count })
        let with = try #require(counted[6...10].min { $0.count < $1.count })
        #expect(with.count { $0.contains("POST /api/provider/validate_hmac") } == 1)
        for call in ["socket(", "connect(", "openat("] { #expect(!with.contains { $0.contains(call) }, "\(call)") }
        func count(_ call: String, _ calls: [String]) -> Int { calls.count { $0.contains(" \(call)(") } }
        #expect(count("sendto", with) == count("sendto", without) + 1, "\(with.joined(separator: "\n"))")
        // Whether the connection lives and whether the response is there are questions to poll, and so is the wait. How often
        // is not ours to say: a timer of libcurl's ends a wait as well.
        let waits = ["poll", "recvfrom"]
        func isOther(_ call: String) -> Bool { !(waits + ["sendto"]).contains { call.contains(" \($0)(") } }
        #expect(with.count(where: isOther) <= without.count(where: isOther), "\(with.joined(separator: "\n"))")
    }

    /// The system calls of the request that a line belongs to: calls of its thread between two accepts; nil before the second
    /// accept.
    private static func calls(around index: Int, of lines: [String]) -> [String]? {
        let thread = lines[index].prefix { $0 != " " }
        func isMine(_ index: Int) -> Bool { lines[index].hasPrefix(thread + " ") }
        func isAccept(_ index: Int) -> Bool { isMine(index) && lines[index].contains("accept(") }
        guard let start = lines[..<index].indices.last(where: isAccept),
            let end = lines[index...].indices.first(where: isAccept)
        else { return nil }
        return (start + 1..<end).filter(isMine).map { lines[$0] }.filter { !Strace.isInVain($0) }
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

    /// The calls in the order of their beginnings, each with its result. strace writes a waiting call in two lines, "1234
    /// poll(… <unfinished ...>" and "1234 <... poll resumed>…".
    static func calls(_ output: String) -> [String] {
        var calls: [String] = []
        var unfinished: [Substring: Int] = [:]
        for line in output.split(separator: "\n") {
            let thread = line.prefix { $0 != " " }
            if line.contains(" <... ") {
                guard let index = unfinished.removeValue(forKey: thread), let rest = line.range(of: " resumed>") else {
                    continue
                }
                calls[index] += line[rest.upperBound...]
            } else if let mark = line.range(of: " <unfinished ...>") {
                unfinished[thread] = calls.count
                calls.append(String(line[..<mark.lowerBound]))
            } else {
                calls.append(String(line))
            }
        }
        return calls
    }

    /// Whether a call waited until a timer ended the wait, or found nothing to read: on a loaded machine there are more.
    static func isInVain(_ call: String) -> Bool {
        (call.contains("(Timeout)") && !call.contains(", 0) = 0 (Timeout)")) || call.contains("EAGAIN")
    }

    /// Whether one child of this process may trace another: containers and Yama can forbid it.
    static func mayTrace() async throws -> Bool {
        guard Tool.path("strace") != nil else { return true }
        let sleeper = try ChildProcess("sleep", ["60"])
        let strace = try? await attach(to: sleeper.pid)
        return strace != nil
    }
}
