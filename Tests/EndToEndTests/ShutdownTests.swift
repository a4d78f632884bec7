import Foundation
import TestSupport
import Testing

/// SIGTERM lets what runs finish and loses nothing; impatience cuts, visibly.
@Suite struct ShutdownTests {
    /// An engine that stops streams after their first token until the gate opens.
    private static func engine(_ finish: Gate) -> ScriptedServer.Script {
        { try $0.stream(["a"], pausingAt: finish) }
    }

    private func startStreams(_ count: Int, on deployment: Deployment) throws -> [HTTPProbeResponse] {
        let streams = try (0..<count).map { _ in try deployment.startCompletion().response() }
        for stream in streams { _ = try stream.body.next() }
        return streams
    }

    private func text(_ stream: HTTPProbeResponse) throws -> String {
        String(decoding: try stream.body.all(), as: UTF8.self)
    }

    @Test func whatRunsFinishes() async throws {
        let finish = Gate()
        let deployment = try await Deployment(engine: Self.engine(finish))
        try await onThread {
            let streams = try startStreams(8, on: deployment)
            deployment.worker.terminate()
            try deployment.waitUntil("it stops") { deployment.worker.standardError.contains("stopping: 8 requests") }
            #expect(deployment.worker.ended == nil)
            for _ in streams { finish.open() }
            for stream in streams {
                let rest = try text(stream)
                #expect(rest == "data: [DONE]\n\n")
            }
        }
        #expect(try await deployment.worker.waitForExit() == .status(0))
    }

    @Test(arguments: [true, false])
    func aSecondSignalOrTheEndOfTheTimeCuts(isSignalled: Bool) async throws {
        let deployment = try await Deployment(
            settings: isSignalled ? [:] : ["PROVIDER_SERVER_DRAIN_TIMEOUT": "0.1"],
            engine: { request in
                if try request.bodyText().contains("stream") {
                    try request.connection.send(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                    try request.event("a")
                }
                try request.connection.waitForHangUp()
            })
        try await onThread {
            let streams = try startStreams(4, on: deployment)
            let silent = try deployment.startCompletion("{}")
            try deployment.waitUntil("the engine has them all") { deployment.engine.requests.count == 5 }
            deployment.worker.terminate()
            try deployment.waitUntil("it stops") { deployment.worker.standardError.contains("stopping: 5 requests") }
            if isSignalled { deployment.worker.terminate() }
            for stream in streams {
                let rest = try text(stream)
                #expect(rest.hasPrefix("data: {\"error\":{\"code\":\"shutting_down\""))
            }
            #expect(try silent.response().status == 503)
        }
        let exit = try await deployment.worker.waitForExit()
        #expect(exit == .status(1))
    }

    @Test func aSignalThatComesWhileItStarts() async throws {
        // Kept to the end: its directory holds the socket.
        let starting = try await StartingWorker()
        starting.process.terminate()
        let exit = try await starting.process.waitForExit()
        #expect(exit == .status(0))
    }

    /// Two workers share one socket, as two instances of a unit do; both are replaced under load, one after the other.
    @Test func aRestartUnderLoadLosesNothing() async throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        let engine = try ScriptedServer(FakeEngine.object)
        let central = try ScriptedServer(FakeCentral.valid)
        let nginx = try await NginxServer(workerSocket: listener.path)
        let start: @Sendable () throws -> ChildProcess = {
            try ChildProcess.worker(
                environment: Deployment.environment(engine: engine, central: central, gpu: nil),
                standardInput: listener.descriptor)
        }
        let first = try start()
        try await first.waitUntilReady()
        let isOver = SharedValue(false)
        let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await onThread {
                        var statuses: [Int] = []
                        while !isOver.value {
                            let response = try HTTPProbe.fetch(
                                port: nginx.port, "POST", "/v1/completions", headers: ["X-Inferoute-HMAC: a"],
                                body: "{}")
                            statuses.append(response.status)
                        }
                        return statuses
                    }
                }
            }
            var running = first
            for _ in 0..<3 {
                let requests = engine.requests.count
                try await eventually("there is load") { engine.requests.count > requests + 50 }
                let next = try start()
                try await next.waitUntilReady()
                running.terminate()
                #expect(try await running.waitForExit() == .status(0))
                running = next
            }
            isOver.value = true
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(statuses.count > 150)
        #expect(statuses.allSatisfy { $0 == 200 })
        #expect(engine.requests.count == statuses.count)
    }
}
