import TestSupport
import Testing

/// `ollama.forward: nginx`: the worker admits, nginx forwards.
@Suite struct HandoffTests {
    private static let tokens = (0..<20).map { "token \($0)" }

    /// The engine sends a token only once the client has seen the previous token.
    @Test func tokensArriveOneByOne() async throws {
        let seen = Gate()
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                #expect(try request.bodyText() == #"{"model":"m","stream":true}"#)
                #expect(request.method == "POST")
                try request.stream(Self.tokens, pausingAt: seen)
            })
        try await onThread {
            let response = try deployment.startCompletion(headers: ["X-Inferoute-HMAC: abc"]).response()
            #expect(response.status == 200)
            #expect(response.head["Content-Type"] == "text/event-stream")
            #expect(response.head["X-Request-Id"]?.count == 32)
            #expect(response.head["X-Accel-Redirect"] == nil)
            for token in Self.tokens {
                let chunk = try response.body.next()
                #expect(String(decoding: chunk, as: UTF8.self) == "data: \(token)\n\n")
                seen.open()
            }
            #expect(String(decoding: try response.body.all(), as: UTF8.self) == "data: [DONE]\n\n")
            try deployment.waitUntil("the worker has said so") {
                deployment.worker.standardError.contains("status=handed_over")
            }
        }
    }

    /// A body that libfcgi does not read at once, and that nginx keeps in a file.
    @Test func aLargeBodyReachesTheEngineWhole() async throws {
        let size = 5_000_000
        let seen = SharedValue("")
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                seen.value = "\(try request.body.count()) \(request.target)"
                try request.respond(404, "{}", headers: ["Location: http://elsewhere/", "X-Accel-Redirect: /busy"])
            })
        try await onThread {
            let response = try deployment.fetch(
                "POST", "/v1/completions?a=%201", body: String(repeating: "x", count: size))
            #expect(seen.value == "\(size) /v1/completions?a=%201")
            // The engine's own response, unchanged.
            #expect(response.status == 404)
            #expect(response.body == "{}")
            #expect(response.head["Location"] == "http://elsewhere/")
        }
    }

    @Test func hopByHopAndSecretHeadersStayHere() async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                seen.value = request.head.fields.map { $0.name.lowercased() }.sorted().joined(separator: " ")
                try request.respond(200, "{}", headers: ["Keep-Alive: timeout=5"])
            })
        try await onThread {
            let response = try deployment.complete(headers: [
                "Authorization: Bearer client", "Cookie: a=b", "X-Inferoute-HMAC: abc", "User-Agent: t", "Accept: */*",
                "TE: trailers", "X-Other: 1",
            ])
            #expect(response.status == 200)
            #expect(response.head["Keep-Alive"] == nil)
            #expect(seen.value == "accept accept-encoding content-length content-type host user-agent")
        }
    }

    /// Admission is the worker's all the same.
    @Test func whatTheWorkerRefusesNeverReachesTheEngine() async throws {
        let deployment = try await Deployment(
            forward: "nginx", gpu: .utilization("21 %"),
            central: { try $0.respond(401, #"{"valid":false,"error":"no"}"#) })
        try await onThread {
            let busy = try deployment.complete()
            #expect(busy.status == 503)
            #expect(busy.body.contains(#""code":"gpu_busy""#))
            try deployment.gpu?.set(.utilization("0 %"))
            try deployment.waitUntil("the GPU is idle") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
            let invalid = try deployment.complete(headers: ["X-Inferoute-HMAC: abc"])
            #expect(invalid.status == 401)
            #expect(!deployment.engine.requests.contains { $0.hasPrefix("POST") })
        }
    }

    /// Nor does what is judged before it.
    @Test func aRefusedBodyNeverReachesTheEngine() async throws {
        let deployment = try await Deployment(
            forward: "nginx", settings: ["PROVIDER_SERVER_MAX_BODY_BYTES": "10"])
        try await onThread {
            let empty = try deployment.complete("")
            let large = try deployment.complete(String(repeating: "a", count: 11))
            #expect(empty.status == 400)
            #expect(large.status == 413)
            #expect(deployment.engine.requests.isEmpty)
            let fitting = try deployment.complete("{}")
            #expect(fitting.status == 200)
        }
    }

    @Test(arguments: [false, true])
    func aClientThatLeavesStopsTheEngine(isAfterTheFirstToken: Bool) async throws {
        let asked = Gate()
        let stopped = Gate()
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                _ = try request.bodyText()
                if isAfterTheFirstToken {
                    try request.startStream()
                    try request.event("a")
                }
                asked.open()
                try request.connection.waitForHangUp()
                stopped.open()
            })
        try await onThread {
            let probe = try deployment.startCompletion()
            try asked.wait()
            if isAfterTheFirstToken { _ = try probe.response().body.next() }
            probe.connection.close()
            try stopped.wait()
        }
    }

    @Test func aDownEngineHasTheWorkersCode() async throws {
        let deployment = try await Deployment(forward: "nginx")
        deployment.engine.stop()
        try await onThread {
            let response = try deployment.complete()
            #expect(response.status == 502)
            #expect(response.head["Content-Type"] == "application/json")
            #expect(response.body.contains(#""code":"engine_unreachable""#))
            #expect(response.head["X-Request-Id"]?.count == 32)
        }
    }

    @Test func theClientSeesAResponseBreakOff() async throws {
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                try request.startStream()
                try request.event("a")
                request.closeAfterwards()
            })
        try await onThread {
            let response = try deployment.startCompletion().response()
            #expect(throws: (any Error).self) { try response.body.all() }
        }
    }

    /// nginx counts what the worker, which is done long before the engine, cannot.
    @Test func theSixtyFifthIsTooMany() async throws {
        let finish = Gate()
        let deployment = try await Deployment(
            forward: "nginx",
            engine: { request in
                try request.stream(["a"], pausingAt: finish)
            })
        try await onThread {
            let streams = try (0..<64).map { _ in try deployment.startCompletion().response() }
            for stream in streams { _ = try stream.body.next() }
            let refused = try deployment.complete()
            #expect(refused.status == 503)
            #expect(refused.body.contains(#""code":"too_many_requests_in_flight""#))
            #expect(refused.head["Retry-After"] == "1")
            for _ in streams { finish.open() }
            for stream in streams {
                #expect(String(decoding: try stream.body.all(), as: UTF8.self) == "data: [DONE]\n\n")
            }
        }
    }

    /// Neither a path nor a header of a client, nor one of the engine's, leads past the worker.
    @Test func theEngineIsNotReachableFromOutside() async throws {
        let deployment = try await Deployment(
            engine: { try $0.respond(200, #"{"through":"the worker"}"#, headers: ["X-Accel-Redirect: @engine"]) })
        try await onThread {
            for path in ["/@engine", "/%40engine", "@engine", "/.provider-client/engine_unreachable"] {
                let response = try deployment.fetch("POST", path, headers: ["X-Accel-Redirect: @engine"], body: "{}")
                #expect(response.status == 404 || response.status == 400, "\(path)")
            }
            #expect(deployment.engine.requests.isEmpty)
            #expect(try deployment.complete(headers: ["X-Accel-Redirect: @engine"]).status == 200)
            #expect(deployment.engine.requests.count == 1)
        }
    }
}
