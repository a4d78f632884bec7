import Foundation
import TestSupport
import Testing

/// Bytes that would end a header field, wherever somebody else's text gets into a message of ours.
@Suite struct InjectionTests {
    private static let parameters: [(name: String, value: String)] = [
        ("QUERY_STRING", "a HTTP/1.1\r\nX-Injected: 1\r\n\r\nPOST /api/delete"), ("QUERY_STRING", "a\r\nX-Injected: 1"),
        ("QUERY_STRING", "a\nX-Injected: 1"), ("CONTENT_TYPE", "a/b\r\nX-Injected: 1"),
        ("CONTENT_TYPE", "a/b\rX-Injected: 1"),
        ("HTTP_ACCEPT", "a\nX-Injected: 1"), ("HTTP_USER_AGENT", "a\r\n\r\nPOST /api/delete HTTP/1.1"),
        ("DOCUMENT_URI", "/v1/completions\r\nX-Injected: 1"),
        ("DOCUMENT_URI", "/v1/completions HTTP/1.1\r\nX-Injected: 1"),
        ("REQUEST_METHOD", "POST /api/delete HTTP/1.1\r\nX-Injected: 1"),
        ("HTTP_X_INFEROUTE_HMAC", "a\r\nX-Injected: 1"),
        ("HTTP_X_INFEROUTE_HMAC", "a\",\"x\":\"\n"), ("REQUEST_ID", "a\r\nX-Injected: 1"),
        // Where a request line goes on.
        ("QUERY_STRING", "a b"), ("QUERY_STRING", " "), ("QUERY_STRING", "a HTTP/1.1"), ("QUERY_STRING", "a\tb"),
        ("DOCUMENT_URI", "/v1/completions HTTP/1.1"), ("REQUEST_METHOD", "POST /v1"),
    ]

    /// nginx lets none of these through; a peer that is not nginx might.
    @Test(arguments: ["worker", "nginx"])
    func towardsEngineAndCentral(forward: String) async throws {
        let seen = SharedValue("")
        let record: ScriptedServer.Script = { request in
            seen.value += request.head.startLine + "\n"
            for field in request.head.fields { seen.value += "\(field.name)=\(field.value)\n" }
            try FakeCentral.valid(request)
        }
        let deployment = try await Deployment(forward: forward, central: record, engine: record)
        try await onThread {
            for (name, value) in Self.parameters {
                seen.value = ""
                let before = deployment.engine.requests.count
                var parameters = ["REQUEST_METHOD": "POST", "DOCUMENT_URI": "/v1/completions", "CONTENT_LENGTH": "2"]
                parameters[name] = value
                let peer = try FastCGIPeer(deployment.socket, parameters: parameters.map { ($0.key, $0.value) })
                try peer.send(body: "{}")
                try peer.send(body: "")
                let output = try peer.output()
                #expect(output.hasPrefix("Status: "), "\(name) \(value)")
                #expect(!output.contains("\nX-Injected"), "\(name) \(value)")
                #expect(!seen.value.contains("X-Injected"), "\(name) \(value)")
                #expect(!seen.value.contains("/api/delete"), "\(name) \(value)")
                let lines = deployment.engine.requests.dropFirst(before)
                #expect(lines.count <= 1, "\(name) \(value)")
                #expect(
                    lines.allSatisfy { $0.wholeMatch(of: #/POST /v1/completions(\?[^ ]*)? HTTP/1\.1/#) != nil },
                    "\(name) \(value) \(lines)")
            }
            #expect(deployment.central.requests.isEmpty)
        }
    }

    /// Values that cannot be sent on are dropped without a replacement. With handoff nginx sends them on: a control
    /// character, but no line end.
    @Test(arguments: ["worker", "nginx"])
    func anInvalidContentType(forward: String) async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(
            forward: forward,
            engine: { request in
                let fields = request.head.fields.filter { $0.name.lowercased() != "host" }
                seen.value = fields.map { "\($0.name.lowercased())=\($0.value)" }.sorted().joined(separator: " ")
                try request.respond(200, "{}")
            })
        try await onThread {
            let fields = ["Content-Type: a\u{1}b", "Accept: a\u{1}b", "User-Agent: a\u{7F}b"]
            let response = try deployment.fetch("POST", "/v1/completions", headers: fields, body: "{}")
            #expect(response.status == 200)
            let sent =
                forward == "nginx"
                ? ["accept=a\u{1}b", "content-length=2", "content-type=a\u{1}b", "user-agent=a\u{7F}b"]
                : ["content-length=2"]
            #expect(seen.value == (["accept-encoding=identity"] + sent).joined(separator: " "))
        }
    }

    private static let names = [
        "m\r\nX-Injected: 1", "m\r\n\r\nPOST /api/provider/health HTTP/1.1", "m\n<0>X-Injected",
        "m\"}],\"X-Injected\":{\"a\":[{\"b\":\"",
        "m\0", "m\u{1B}[31m\u{2028}", "m\u{E9}", "", String(repeating: "m", count: 10_000),
    ]

    /// Names of models and the tunnel's URL are others' words: in the report each is one string, and it is one request.
    @Test(arguments: ["/api/models", "/v1/models", "/api/tags"])
    func towardsTheReport(list: String) async throws {
        let seen = SharedValue("")
        // A value that is not a URL is ignored.
        let hostile = "https://a\r\nX-Injected: 1\"}"
        let url = "https://a.example"
        let responses = [
            "/api/models": try Self.json(["data": Self.names.map { ["id": $0] }]),
            "/v1/models": try Self.json(["data": Self.names.map { ["id": $0, "owned_by": $0] }]),
            "/api/tags": try Self.json(["models": Self.names.map { ["name": $0, "model": $0] }]),
            "/api/tunnels": try Self.json([
                "tunnels": [["name": hostile, "public_url": hostile], ["public_url": url, "proto": "https"]]
            ]),
        ]
        let engine: ScriptedServer.Script = { request in
            let response = request.target == list || request.target == "/api/tunnels" ? responses[request.target] : nil
            try request.respond(response == nil ? 404 : 200, response ?? "")
        }
        let central = try ScriptedServer { request in
            #expect(request.head.fields.allSatisfy { !$0.name.hasPrefix("X-") })
            seen.value = try request.bodyText()
            try request.respond(200, "")
        }
        let machine = try ScriptedServer(engine)
        let settings = ["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": machine.url, "PROVIDER_LOG_LEVEL": "trace"]
        let reporter = try Deployment.reporter(
            ["--every", "1"], engine: machine, central: central, settings: settings)
        // On a machine with much to do the tunnel's agent may be too slow for one report.
        try await eventually("a report with the tunnel") { seen.value.contains("https://") }
        reporter.terminate()
        #expect(try await reporter.waitForExit() == .status(0), "\(reporter.standardError)")
        #expect(Set(central.requests) == ["POST /api/provider/health HTTP/1.1"])
        #expect(reporter.standardError.split(separator: "\n").allSatisfy { $0.hasPrefix("<") && !$0.hasPrefix("<0>") })
        try Self.expectTheReport(seen.value, url: url)
        // The worker tells every client the same.
        let deployment = try await Deployment(
            settings: ["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": machine.url], engine: engine)
        try await onThread {
            var health = try deployment.fetch("GET", "/health")
            try deployment.waitUntil("a report with the tunnel") {
                health = try deployment.fetch("GET", "/health")
                return health.body.contains("https://")
            }
            #expect(health.head.fields.allSatisfy { $0.name != "X-Injected" })
            try Self.expectTheReport(health.body, url: url)
        }
    }

    private static func json(_ value: Any) throws -> String {
        String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self)
    }

    private static func expectTheReport(_ text: String, url: String) throws {
        let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(report.keys.sorted() == ["data", "gpu", "ngrok", "object", "provider_type"])
        let models = try #require(report["data"] as? [[String: Any]])
        #expect(models.map { $0["id"] as? String } == names)
        #expect(report["ngrok"] as? [String: String] == ["url": url])
    }

    /// A body is bytes, whatever name of a model is in it.
    @Test func aModelsNameIsNoHeader() async throws {
        let body = "{\"model\":\"m\r\nX-Injected: 1\r\n\r\nPOST /api/delete HTTP/1.1\r\n\r\n\"}"
        let seen = SharedValue("")
        let deployment = try await Deployment(engine: { request in
            seen.value = try request.bodyText()
            try request.respond(
                200, "{}", headers: ["X-Fields: \(request.head.fields.map(\.name).joined(separator: " "))"])
        })
        try await onThread {
            let response = try deployment.complete(body)
            #expect(response.head["X-Fields"] == "Host Content-Type Accept-Encoding Content-Length")
            #expect(seen.value == body)
            #expect(deployment.engine.requests.count == 1)
        }
    }

    private static let heads = [
        "X-A: a\rX-Injected: 1", "X-A: a\0\r\nX-B: b", "X-A: a\n X-Injected: 1", "X-A: a\r\n X-Injected: 1",
        "X-Accel-Redirect: /busy\r\nX-Accel-Charset: x", "X-Accel-Redirect: @engine", "Status: 500 X-Injected",
        "X-B : b\r\nX A: X-Injected", "X-Request-Id: X-Injected", "Connection: close, X-Hop\r\nX-Hop: X-Injected",
        "Upgrade: X-Injected", "Proxy-Authenticate: X-Injected",
    ]

    /// An engine's head that would be several to a careless reader.
    @Test(arguments: ["worker", "nginx"])
    func towardsTheClient(forward: String) async throws {
        // What nginx itself passes on where it forwards by itself is nginx's to judge; it knows these.
        let heads = Self.heads.filter { forward == "worker" || !$0.hasPrefix("Status") && !$0.contains("X-Hop") }
        let turn = Counter()
        let deployment = try await Deployment(
            forward: forward,
            engine: { request in
                _ = try request.bodyText()
                // Announced, so that no request goes into a closing connection.
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\(heads[turn.next() % heads.count])\r\n"
                try request.connection.send(head + "Content-Length: 2\r\n\r\n{}")
                request.closeAfterwards()
            })
        try await onThread {
            for head in heads {
                let response = try deployment.complete()
                #expect(response.status == 200 && response.body == "{}" || response.status == 502, "\(head)")
                for prefix in ["X-Injected", "X-Accel"] {
                    #expect(response.head.fields.allSatisfy { !$0.name.hasPrefix(prefix) }, "\(head)")
                }
                #expect(response.head["X-Request-Id"]?.count == 32, "\(head)")
                for name in ["Upgrade", "Status", "Proxy-Authenticate", "X-Hop"] {
                    #expect(response.head[name] == nil, "\(head)")
                }
            }
            #expect(deployment.engine.requests.count == heads.count)
        }
    }

    /// One line is one event: what a peer says begins none.
    @Test(arguments: ["text", "json"])
    func towardsTheLog(format: String) async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_LOG_FORMAT": format])
        try await onThread {
            for (parameter, value) in [
                ("DOCUMENT_URI", "/a\n<0>forged"), ("DOCUMENT_URI", "/a\r\n{\"forged\":1}"),
                ("REQUEST_METHOD", "A\nforged"),
                ("REQUEST_ID", "a\nforged"), ("DOCUMENT_URI", "/a\u{1B}[31m\u{2028}forged"),
            ] {
                var parameters = ["REQUEST_METHOD": "GET", "DOCUMENT_URI": "/a", "CONTENT_LENGTH": ""]
                parameters[parameter] = value
                let peer = try FastCGIPeer(deployment.socket, parameters: parameters.map { ($0.key, $0.value) })
                try peer.send(body: "")
                _ = try peer.output()
            }
            try deployment.waitUntil("all are logged") { deployment.worker.standardError.count("forged") == 5 }
            let lines = deployment.worker.standardError.split(separator: "\n").filter { $0.contains("forged") }
            #expect(lines.count == 5)
            #expect(lines.allSatisfy { format == "json" ? $0.hasPrefix("{\"") : $0.hasPrefix("<6>request ") })
            #expect(!deployment.worker.standardError.contains("\u{1B}"))
        }
    }
}
