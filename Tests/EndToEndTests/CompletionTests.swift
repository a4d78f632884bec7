import TestSupport
import Testing

/// A completion's way: nginx, FastCGI, worker, engine and back.
@Suite struct CompletionTests {
    private static let tokens = (0..<20).map { "token \($0)" }

    /// The engine sends a token only once the client has seen the previous token.
    @Test func tokensArriveOneByOne() async throws {
        let seen = Gate()
        let deployment = try await Deployment(engine: { request in
            try request.stream(Self.tokens, pausingAt: seen)
        })
        try await onThread {
            let response = try deployment.startCompletion(headers: ["X-Inferoute-HMAC: abc"]).response()
            #expect(response.status == 200)
            #expect(response.head["Content-Type"] == "text/event-stream")
            #expect(response.head["X-Request-Id"]?.count == 32)
            for token in Self.tokens {
                let chunk = try response.body.next()
                #expect(String(decoding: chunk, as: UTF8.self) == "data: \(token)\n\n")
                seen.open()
            }
            let rest = try response.body.all()
            #expect(String(decoding: rest, as: UTF8.self) == "data: [DONE]\n\n")
        }
    }

    @Test func aResponseThatIsNotStreamed() async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(engine: { request in
            seen.value = request.target
            try request.respond(404, #"{"error":{"message":"model 'm' not found"}}"#, headers: ["X-Engine: 1"])
        })
        try await onThread {
            let response = try deployment.fetch("POST", "/v1/completions?a=%201", body: "{}")
            #expect(response.status == 404)
            #expect(response.body == #"{"error":{"message":"model 'm' not found"}}"#)
            #expect(response.head["X-Engine"] == "1")
            #expect(response.head["Content-Length"] == "43")
            #expect(seen.value == "/v1/completions?a=%201")
        }
    }

    @Test func hopByHopAndSecretHeadersStayHere() async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(engine: { request in
            seen.value = request.head.fields.map { $0.name.lowercased() }.sorted().joined(separator: " ")
            try request.respond(200, "{}")
        })
        try await onThread {
            let headers = [
                "Authorization: Bearer client", "Cookie: a=b", "X-Inferoute-HMAC: abc", "User-Agent: t", "Accept: */*",
            ]
            let status = try deployment.complete(headers: headers).status
            #expect(status == 200)
            #expect(seen.value == "accept accept-encoding content-length content-type host user-agent")
        }
    }

    enum Moment: CaseIterable {
        case beforeTheFirstToken
        case afterTheFirstToken
        case insideAWholeResponse
    }

    @Test(arguments: Moment.allCases)
    func aClientThatLeavesStopsTheEngine(moment: Moment) async throws {
        let asked = Gate()
        let stopped = Gate()
        let deployment = try await Deployment(
            settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "1"],
            engine: { request in
                switch moment {
                case .beforeTheFirstToken: _ = try request.bodyText()
                case .afterTheFirstToken:
                    try request.startStream()
                    try request.event("a")
                case .insideAWholeResponse:
                    _ = try request.bodyText()
                    try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                }
                asked.open()
                try request.connection.waitForHangUp()
                stopped.open()
            })
        try await onThread {
            let probe = try deployment.startCompletion()
            try asked.wait()
            if moment == .afterTheFirstToken { _ = try probe.response().body.next() }
            probe.connection.close()
            try stopped.wait()
            try deployment.waitUntil("its place is free") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
            // Written once the place is free.
            try deployment.waitUntil("it is logged") { deployment.worker.standardError.contains("cut=client_gone") }
        }
    }

    @Test func theClientSeesAnEngineDieMidStream() async throws {
        let deployment = try await Deployment(engine: { request in
            try request.startStream()
            try request.event("a")
            request.closeAfterwards()
        })
        try await onThread {
            let body = try deployment.startCompletion().response().body.all()
            let text = String(decoding: body, as: UTF8.self)
            #expect(text.hasPrefix("data: a\n\ndata: {\"error\":{\"code\":\"engine_unreachable\""))
            #expect(!text.contains("[DONE]"))
        }
    }

    /// Too large to hold back, it has begun when the engine dies; the client must not take it for whole.
    @Test(arguments: [true, false])
    func theClientSeesACutInALargeResponse(hasLength: Bool) async throws {
        let deployment = try await Deployment(engine: { request in
            _ = try request.bodyText()
            let framing = hasLength ? "Content-Length: 20000000" : "Transfer-Encoding: chunked"
            try request.connection.send("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\n")
            let piece = String(repeating: "x", count: 1_000_000)
            for _ in 0..<12 { try hasLength ? request.connection.send(piece) : request.chunk(piece) }
            request.closeAfterwards()
        })
        try await onThread {
            let response = try deployment.startCompletion().response()
            #expect(response.status == 200)
            #expect(throws: (any Error).self) { try response.body.count() }
        }
    }

    @Test func connectionsToTheEngineAreKept() async throws {
        let deployment = try await Deployment()
        try await onThread {
            for _ in 0..<32 {
                let status = try deployment.complete().status
                #expect(status == 200)
            }
            // Requests one after the other may overlap by the moment in which the last one is put away.
            #expect(deployment.engine.connectionCount <= 3)
        }
    }
}
