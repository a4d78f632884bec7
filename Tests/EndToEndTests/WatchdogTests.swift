import Foundation
import TestSupport
import Testing

/// systemd's watchdog, with a socket of the test's own in systemd's place.
@Suite struct WatchdogTests {
    /// A worker that is watched, on a socket to which the test connects by itself.
    private struct Watched {
        let directory: TemporaryDirectory
        let manager: NotifySocket
        let worker: ChildProcess

        var socket: String { directory.path + "/fcgi.sock" }

        init(milliseconds: Int, _ settings: [String: String] = [:]) async throws {
            directory = try TemporaryDirectory()
            manager = try NotifySocket(directory.path + "/notify")
            let environment = [
                "PATH": noPrograms, "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock",
                "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "\(milliseconds * 1000)",
            ]
            worker = try ChildProcess.worker(
                environment: environment.merging(settings) { $1 },
                logsToJournal: true)
            try await worker.waitUntilReady()
        }

        /// Waits for `count` further pings, and takes them, since the worker would block otherwise.
        func pings(_ count: Int) throws {
            for _ in 0..<count { try manager.receive("WATCHDOG=1") }
        }

        var isFound: Bool { worker.standardError.contains("the watchdog will restart it") }
    }

    @Test func pingsAllTheTime() async throws {
        let watched = try await Watched(milliseconds: 400)
        try await onThread {
            #expect(try watched.manager.receive() == "READY=1")
            try watched.pings(20)
        }
        #expect(!watched.isFound)
        watched.worker.terminate()
        try await onThread { try watched.manager.receive("STOPPING=1") }
        #expect(try await watched.worker.waitForExit() == .status(0))
    }

    /// Another process's WATCHDOG_PID means no watchdog.
    @Test(arguments: [
        ["WATCHDOG_USEC": ""], ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "-1"], ["WATCHDOG_USEC": "nonsense"],
        ["WATCHDOG_PID": "1"],
    ])
    func notForUs(environment: [String: String]) async throws {
        let watched = try await Watched(milliseconds: 4, environment)
        try await onThread { try watched.manager.receive("READY=1") }
        // A look between which a ping would have come.
        watched.worker.send(signal: SIGHUP)
        try await eventually("it has been reloaded") { watched.worker.standardError.contains("reloaded") }
        watched.worker.terminate()
        #expect(try await watched.worker.waitForExit() == .status(0))
        #expect(!watched.manager.receiveAll().contains("WATCHDOG=1"))
    }

    /// Every thread there may be waits for a client that says nothing, and more clients wait for a thread.
    @Test func allThreadsAtWorkIsNoAlarm() async throws {
        let watched = try await Watched(milliseconds: 100, ["PROVIDER_SERVER_MAX_IN_FLIGHT": "1"])
        try await onThread {
            let clients = try (0..<30).map { _ in try UnixConnection(watched.socket) }
            try watched.pings(40)
            #expect(!watched.isFound)
            withExtendedLifetime(clients) {}
        }
    }

    @Test func aStoppedProcessRaisesNoAlarm() async throws {
        let watched = try await Watched(milliseconds: 100)
        try await onThread {
            for _ in 0..<3 {
                try watched.pings(2)
                watched.worker.send(signal: SIGSTOP)
                // What waits when it goes on has waited for long.
                let clients = try (0..<3).map { _ in try UnixConnection(watched.socket) }
                usleep(300_000)
                watched.worker.send(signal: SIGCONT)
                try watched.pings(2)
                withExtendedLifetime(clients) {}
            }
        }
        #expect(!watched.isFound)
    }

    /// All its threads are held by clients that say nothing, and no other can be started, because memory is short.
    @Test(
        .enabled(if: Tool.isExpected("prlimit"), "prlimit is missing"),
        .measuresMemory)
    func unacceptedConnectionsRaiseAnAlarm() async throws {
        let watched = try await Watched(milliseconds: 100, ["PROVIDER_SERVER_MAX_IN_FLIGHT": "4096"])
        let worker = watched.worker
        try await onThread { try watched.pings(2) }
        try await limitMemory(of: worker, to: "\(try memory(of: worker) + 131_072)")
        var clients: [UnixConnection] = []
        // Each thread holds a connection, and another connection waits.
        while !worker.standardError.contains("cannot start another thread") || clients.count < 2 {
            clients.append(try UnixConnection(watched.socket))
            _ = watched.manager.receiveAll()
            try await Task.sleep(for: .milliseconds(20))
        }
        clients.append(try UnixConnection(watched.socket))
        try await eventually("it is found") {
            _ = watched.manager.receiveAll()
            return watched.isFound
        }
        #expect(worker.standardError.contains("<2>worker is stuck; the watchdog will restart it"))
        _ = watched.manager.receiveAll()
        // Long enough for twenty.
        usleep(500_000)
        #expect(watched.manager.receiveAll() == [])
        // Missing threads are started as soon as that is possible.
        try await limitMemory(of: worker, to: "unlimited")
        try await onThread { try watched.pings(8) }
        #expect(worker.standardError.contains("<5>worker is no longer stuck"))
        withExtendedLifetime(clients) {}
    }

    private func memory(of process: ChildProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmSize:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first) * 1024
    }

    /// The soft limit alone, which can be raised again.
    private func limitMemory(of process: ChildProcess, to bytes: String) async throws {
        let prlimit = try ChildProcess(
            Tool.path("prlimit") ?? "prlimit", ["--pid", "\(process.pid)", "--as=\(bytes):unlimited"])
        #expect(try await prlimit.waitForExit() == .status(0), "\(prlimit.standardError)")
    }
}
