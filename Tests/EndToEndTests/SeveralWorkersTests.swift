import Foundation
import Synchronization
import TestSupport
import Testing

/// The number of workers changes capacity alone: admission and every figure are the machine's.
@Suite struct SeveralWorkersTests {
    /// An engine that keeps each completion until it is let go, and knows how many it has.
    private final class KeepingEngine: Sendable {
        private let running = Mutex((now: 0, most: 0, left: 0))
        let gate = Gate()

        var now: Int { running.withLock { $0.now } }
        var most: Int { running.withLock { $0.most } }
        /// Completions that have been let go, and have gone.
        var left: Int { running.withLock { $0.left } }

        var script: ScriptedServer.Script {
            { [self] request in
                guard request.method == "POST" else { return try FakeEngine.oneModel(request) }
                _ = try request.bodyText()
                running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.left) }
                do {
                    // Before the response: with it the place is free, and the next completion may come at once.
                    defer { running.withLock { $0 = ($0.now - 1, $0.most, $0.left + 1) } }
                    try gate.wait()
                }
                try request.respond(200, "{}")
            }
        }
    }

    /// 4 workers, 64 clients, a limit of 3: never more than 3 run, and a free place is taken while clients wait.
    @Test func theLimitIsTheMachines() async throws {
        let engine = KeepingEngine()
        let machine = try await SeveralWorkers(
            4, settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "3"], engine: engine.script)
        let asked = Counter()
        let served = Counter()
        let isOver = SharedValue(false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    try await onThread { () throws in
                        while !isOver.value {
                            _ = asked.next()
                            switch try machine.complete() {
                            case 200: _ = served.next()
                            case 503: usleep(1000)
                            case let other: throw NeverHappened(description: "status \(other)")
                            }
                        }
                    }
                }
            }
            group.addTask {
                try await onThread { () throws in
                    defer {
                        isOver.value = true
                        for _ in 0..<1000 { engine.gate.open() }
                    }
                    while asked.value < 10_000 {
                        // While clients wait no place stays free.
                        try waitUntil(
                            "every place is taken",
                            detail: {
                                let inFlight = try? machine.metric("provider_requests_in_flight")
                                return "; \(engine.now) run, \(inFlight.map { "\($0)" } ?? "?") in flight"
                            }
                        ) { engine.now == 3 }
                        let left = engine.left
                        engine.gate.open()
                        // One at a time: the gate opens for later completions too.
                        try waitUntil("one has gone") { engine.left > left }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(engine.most == 3)
        #expect(served.value > 100)
        let counted = try await onThread { () throws in
            try machine.metric(#"provider_requests_total{endpoint="chat_completions",status="200",code=""}"#)
        }
        #expect(counted == Double(served.value))
    }

    /// With a GPU that shows no utilization one completion runs at a time, on the machine.
    @Test func aGPUWithoutACounterServesOne() async throws {
        let engine = KeepingEngine()
        let gpu = try FakeGPU(.utilization("N/A"))
        let machine = try await SeveralWorkers(
            2, settings: ["PATH": gpu.path ?? "", "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02"], engine: engine.script)
        try await onThread { () throws in
            let first = try HTTPProbe(port: machine.nginx.port, "POST", "/v1/completions", body: "{}")
            try waitUntil("it runs") { engine.now == 1 }
            for _ in 0..<20 { #expect(try machine.complete() == 503) }
            #expect(try machine.metric("provider_requests_in_flight") == 1)
            #expect(try machine.metric("provider_busy") == 1)
            engine.gate.open()
            #expect(try first.response().status == 200)
        }
    }

    /// Each worker reads the GPU by itself; together their samples let in no more than those of one.
    @Test func aSampleLetsInForTheMachine() async throws {
        let machine = try await SeveralWorkers(
            2,
            settings: [
                "PROVIDER_GPU_ADMIT_PER_SAMPLE": "1", "PROVIDER_GPU_SAMPLE_INTERVAL": "3600",
                "PROVIDER_GPU_MAX_SAMPLE_AGE": "7200",
            ])
        let statuses = try await onThread { try (0..<20).map { _ in try machine.complete() } }
        #expect(statuses.count { $0 == 200 } == 1)
        #expect(statuses.count { $0 == 503 } == 19)
    }

    /// A killed worker's places are free at once, and its counts stay; so do those of a worker that was restarted.
    @Test func deathFreesAndKeeps() async throws {
        let engine = KeepingEngine()
        let machine = try await SeveralWorkers(
            2, settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "2"], engine: engine.script)
        let total = #"provider_requests_total{endpoint="chat_completions",status="200",code=""}"#
        try await onThread { () throws in
            for _ in 0..<10 { engine.gate.open() }
            for _ in 0..<10 { #expect(try machine.complete() == 200) }
            #expect(try machine.metric(total) == 10)
            #expect(try machine.metric("provider_workers") == 2)
        }
        for worker in machine.workers {
            try await machine.end(worker, by: SIGTERM)
            try await machine.start()
        }
        let held = try await onThread { () throws in
            #expect(try machine.metric(total) == 10)
            let held = try (0..<2).map { _ in
                try HTTPProbe(port: machine.nginx.port, "POST", "/v1/completions", body: "{}")
            }
            try waitUntil("both run") {
                engine.now == 2
            }
            #expect(try machine.complete() == 503)
            return held
        }
        // Both, so that every place was a killed worker's.
        for worker in machine.workers { try await machine.end(worker, by: SIGKILL) }
        try await machine.start()
        try await onThread { () throws in
            for _ in 0..<4 { engine.gate.open() }
            #expect(try machine.complete() == 200)
            #expect(try machine.metric(total) == 11)
            #expect(try machine.metric("provider_workers") == 1)
        }
        withExtendedLifetime(held) {}
    }

    /// Without a file to share each worker goes on by itself, and says so once.
    @Test(arguments: ["/nonexistent/scoreboard", "/proc/scoreboard"])
    func withoutAFile(path: String) async throws {
        let machine = try await SeveralWorkers(1, settings: ["PROVIDER_SERVER_SCOREBOARD": path])
        let worker = try #require(machine.workers.first)
        try await eventually("it says so") { worker.standardError.contains("The scoreboard \(path)") }
        let status = try await onThread { try machine.complete() }
        #expect(status == 200)
        #expect(worker.standardError.count("The scoreboard") == 1)
    }

    /// A scoreboard that is truncated or deleted ends no worker.
    @Test(arguments: ["truncated", "deleted"])
    func harmToTheFile(_ harm: String) async throws {
        let machine = try await SeveralWorkers(2)
        let files = try FileManager.default.contentsOfDirectory(atPath: machine.directory.path)
        let name = try #require(files.first { $0.hasPrefix("scoreboard") })
        let path = machine.directory.path + "/" + name
        if harm == "truncated" { #expect(truncate(path, 0) == 0) } else { #expect(unlink(path) == 0) }
        try await onThread { () throws in
            for _ in 0..<20 { #expect(try machine.complete() == 200) }
            _ = try machine.status("/metrics")
        }
        #expect(machine.workers.allSatisfy { $0.ended == nil })
    }

    // MARK: Who may ask

    @Test func onlyNginxsParameterLeadsThere() async throws {
        let machine = try await SeveralWorkers(1)
        try await onThread { () throws in
            for path in ["/metrics", "/status.json"] {
                let headers = ["PROVIDER_STATUS: on", "PROVIDER-STATUS: on", "Provider-Status: on"]
                let response = try HTTPProbe.fetch(port: machine.nginx.port, "GET", path, headers: headers)
                #expect(response.status == 404)
                #expect(try machine.status(path).count > 100)
            }
        }
    }

    @Test func statusSaysWhatTheMachineDoes() async throws {
        let machine = try await SeveralWorkers(
            2,
            engine: { request in
                if request.method == "GET" { return try FakeEngine.oneModel(request) }
                try request.respond(200, "{}")
            })
        try await onThread { () throws in
            #expect(try machine.complete() == 200)
            let document = try #require(
                try JSONSerialization.jsonObject(with: Data(try machine.status("/status.json").utf8)) as? [String: Any])
            #expect((document["headline"] as? [String: Any])?["text"] as? String == "Accepting requests")
            #expect((document["workers"] as? [Any])?.count == 2)
            let engine = document["engine"] as? [String: Any]
            #expect(engine?["models"] as? [String] == ["m"])
            let completion = (document["completions"] as? [[String: Any]])?.first
            #expect(completion?["status"] as? Int == 200)
            #expect(completion?["endpoint"] as? String == "chat_completions")
            #expect(
                Set(completion?.keys.map { $0 } ?? []) == [
                    "time", "endpoint", "status", "code", "milliseconds", "bytes",
                ])
            #expect(document["public_url"] as? String == "https://example.ngrok-free.app")
        }
    }
}
