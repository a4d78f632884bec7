import TestSupport
import Testing

/// Each row of the endpoints and each refusal, as a client of nginx sees it.
@Suite struct EndpointTests {
    @Test(arguments: [
        ("GET", "/busy", 200, #"{"busy":false}"#), ("HEAD", "/busy", 200, ""), ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"), ("POST", "/v1/embeddings", 404, "not_found"),
        ("POST", "/busy", 405, "method_not_allowed"), ("DELETE", "/health", 405, "method_not_allowed"),
        ("GET", "/v1/completions", 405, "method_not_allowed"), ("POST", "/v1/completions", 400, "empty_body"),
        ("GET", "/health/", 404, "not_found"), ("GET", "/%62usy", 200, #"{"busy":false}"#),
        ("GET", "/a/../busy?x=1", 200, #"{"busy":false}"#),
    ])
    func statusAndBody(method: String, target: String, status: Int, body: String) async throws {
        let deployment = try await Deployment()
        try await onThread {
            let response = try deployment.fetch(method, target)
            #expect(response.status == status)
            #expect(response.body.contains(body))
            #expect(response.head["Content-Type"] == "application/json")
            #expect(response.head["X-Request-Id"] != nil)
            let allowed = target.hasPrefix("/v1") ? "POST" : "GET, HEAD"
            #expect(response.head["Allow"] == (status == 405 ? allowed : nil))
        }
    }

    @Test func health() async throws {
        let deployment = try await Deployment(
            gpu: .utilization("7 %"),
            engine: { request in
                guard request.target == "/v1/models" else { return try request.respond(404, "") }
                try request.respond(200, #"{"object":"list","data":[{"id":"m","created":5,"owned_by":"library"}]}"#)
            })
        try await onThread {
            let response = try deployment.fetch("GET", "/health")
            #expect(response.status == 200)
            #expect(response.body == GoldenReport.json)
            let head = try deployment.fetch("HEAD", "/health")
            #expect(head.status == 200)
            #expect(head.head["Content-Length"] == String(response.body.utf8.count))
        }
    }

    @Test func healthWithoutEngine() async throws {
        let deployment = try await Deployment(engine: { try $0.respond(500, "") })
        deployment.engine.stop()
        try await onThread {
            let response = try deployment.fetch("GET", "/health")
            #expect(response.status == 503)
            #expect(response.body.contains(#""data":[],"errors":["engine: cannot connect: "#))
            #expect(response.body.contains(#""product_name":"NVIDIA Idle 1000""#))
        }
    }

    /// Many clients cause one request to the engine; while it hangs, no client waits long.
    @Test func healthAsksTheEngineOnce() async throws {
        let asked = Gate()
        let deployment = try await Deployment(engine: { request in
            asked.open()
            try request.connection.waitForHangUp()
        })
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 {
                group.addTask { try await onThread { try deployment.fetch("GET", "/health").status } }
            }
            for try await status in group { #expect(status == 503) }
        }
        #expect(deployment.engine.requests.count { $0.hasPrefix("GET /v1/models ") } == 1)
    }

    @Test(arguments: [true, false])
    func aBodyThatIsTooLarge(isNginxTheJudge: Bool) async throws {
        let deployment = try await Deployment(
            settings: isNginxTheJudge ? [:] : ["PROVIDER_SERVER_MAX_BODY_BYTES": "1000"])
        try await onThread {
            let response = try deployment.complete(String(repeating: "x", count: isNginxTheJudge ? 33_554_433 : 1001))
            #expect(response.status == 413)
            #expect(response.body.contains(#""code":"body_too_large""#))
            #expect(response.head["Content-Type"] == "application/json")
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    @Test(arguments: ["on", "off"], [10, 200_000])
    func aChunkedUpload(buffering: String, size: Int) async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(
            nginxReplacements: Self.withoutOurs, nginxDirectives: { Self.location(buffering: buffering, socket: $0) },
            engine: { request in
                seen.value = "\(try request.body.count())"
                try request.respond(200, "{}")
            })
        try await onThread {
            let probe = try HTTPProbe(
                port: deployment.nginx.port, "POST", "/v1/completions", headers: ["Transfer-Encoding: chunked"])
            for _ in 0..<10 {
                let piece = String(repeating: "x", count: size / 10)
                try probe.connection.send("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
            }
            try probe.connection.send("0\r\n\r\n")
            let response = try probe.response()
            #expect(response.status == 200)
            #expect(seen.value == String(size))
        }
    }

    @Test func anEmptyChunkedUpload() async throws {
        let deployment = try await Deployment(
            nginxReplacements: Self.withoutOurs, nginxDirectives: { Self.location(buffering: "off", socket: $0) })
        try await onThread {
            let probe = try HTTPProbe(
                port: deployment.nginx.port, "POST", "/v1/completions", headers: ["Transfer-Encoding: chunked"])
            try probe.connection.send("0\r\n\r\n")
            let response = try probe.response()
            #expect(response.status == 400)
            #expect(String(decoding: try response.body.all(), as: UTF8.self).contains(#""code":"empty_body""#))
        }
    }

    /// nginx takes one exact location of a path.
    private static let withoutOurs = [("location = /v1/completions { include snippets/provider-worker.conf; }", "")]

    /// A site of somebody else's, with Debian's fastcgi_params.
    private static func location(buffering: String, socket: String) -> String {
        """
        location = /v1/completions {
            fastcgi_pass "unix:\(socket)";
            include /etc/nginx/fastcgi_params;
            fastcgi_request_buffering \(buffering);
        }
        """
    }
}
