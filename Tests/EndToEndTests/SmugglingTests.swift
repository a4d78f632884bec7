import TestSupport
import Testing

/// Requests with an end that two servers could see in different places: nginx refuses them.
@Suite struct SmugglingTests {
    /// Header fields and a body. A smuggled request follows each, and no server may read it as a request.
    private static let refused: [(fields: String, body: String)] = [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", "2\r\n{}\r\n0\r\n\r\n"),
        ("Content-Length: 2\r\nContent-Length: 2", "{}"), ("Content-Length: 2\r\nContent-Length: 3", "{}"),
        ("Content-Length: 2, 2", "{}"), ("Content-Length: +2", "{}"), ("Content-Length: -2", "{}"),
        ("Content-Length: 0x2", "{}"), ("Content-Length: 99999999999999999999", "{}"), ("Content-Length : 2", "{}"),
        ("Content-Length:\r\n 2", "{}"), ("X: a\r\n Content-Length: 2", "{}"), ("X: a\rContent-Length: 2", "{}"),
        ("X: a\0b\r\nContent-Length: 2", "{}"), ("X\0: a\r\nContent-Length: 2", "{}"),
        ("Transfer-Encoding: xchunked", chunked), ("Transfer-Encoding: identity", chunked),
        ("Transfer-Encoding: chunked, identity", chunked), ("Transfer-Encoding: gzip, chunked", chunked),
        ("Transfer-Encoding: \"chunked\"", chunked), ("Transfer-Encoding: \u{B}chunked", chunked),
        ("Transfer-Encoding: chunked\t", chunked), ("Transfer-Encoding : chunked", chunked),
        ("Transfer-Encoding:\r\n chunked", chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", chunked),
        ("Transfer-Encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "+2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", " 2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2\r\n{}{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2;a\rb\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "8000000000000002\r\n{}\r\n0\r\n\r\n"),
    ]
    private static let chunked = "2\r\n{}\r\n0\r\n\r\n"
    private static let hidden = "POST /v1/completions HTTP/1.1\r\nHost: hidden\r\nContent-Length: 2\r\n\r\n{}"

    /// The nginx that a client talks to: the machine's own, which forwards in either way, or a fleet's in front of it.
    private static let ways = ["worker", "nginx", "fleet"]

    private static func deployment(
        _ way: String, engine: @escaping ScriptedServer.Script = FakeEngine.object
    ) async throws -> (Deployment, front: NginxServer) {
        let deployment = try await Deployment(forward: way == "nginx" ? "nginx" : "worker", engine: engine)
        guard way == "fleet" else { return (deployment, deployment.nginx) }
        return (deployment, try await FleetTests.fleet(onPorts: [deployment.nginx.port]))
    }

    @Test(arguments: ways)
    func whatIsAmbiguousEndsAtNginx(way: String) async throws {
        let (deployment, front) = try await Self.deployment(way)
        try await onThread {
            for (fields, body) in Self.refused {
                let response = try deployment.exchange(
                    "POST /v1/completions HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)\(Self.hidden)", with: front)
                #expect(response.hasPrefix("HTTP/1.1 400 ") || response.hasPrefix("HTTP/1.1 501 "), "\(fields) \(body)")
                #expect(response.contains(#""code":"bad_request""#), "\(fields) \(body)")
                #expect(response.count("HTTP/1.1 ") == 1, "\(fields) \(body)")
            }
            #expect(deployment.engine.requests.isEmpty)
            #expect(!deployment.worker.standardError.contains("path="))
            // The first nginx of two is where it ends.
            #expect(way != "fleet" || deployment.nginx.accessLog.isEmpty)
            // All would have been seen.
            #expect(try HTTPProbe.fetch(port: front.port, "POST", "/v1/completions", body: "{}").status == 200)
            #expect(deployment.engine.requests.count == 1)
            try deployment.waitUntil("it is logged") {
                deployment.worker.standardError.contains("path=") && !deployment.nginx.accessLog.isEmpty
            }
        }
    }

    /// An older HTTP knows no chunks.
    @Test(arguments: ways)
    func chunksInHTTP10(way: String) async throws {
        let (deployment, front) = try await Self.deployment(way)
        try await onThread {
            let response = try deployment.exchange(
                "POST /v1/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n\(Self.chunked)\(Self.hidden)",
                with: front)
            #expect(response.hasPrefix("HTTP/1.1 400 "))
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    /// Odd but unambiguous requests pass, in a single form: a length, and as many bytes.
    @Test(arguments: ways)
    func whatIsOddArrivesPlain(way: String) async throws {
        let seen = SharedValue("")
        let (deployment, front) = try await Self.deployment(
            way,
            engine: { request in
                let names = request.head.fields.map { $0.name.lowercased() }.sorted().joined(separator: " ")
                seen.value += "\(names): \(try request.bodyText())\n"
                try request.respond(200, "{}")
            })
        let odd = [
            ("Transfer-Encoding: Chunked", Self.chunked),
            ("Transfer-Encoding: chunked", "2;a=\"b\"\r\n{}\r\n0;x\r\n\r\n"),
            ("Transfer-Encoding: chunked", "2\r\n{}\r\n0\r\nContent-Length: 50\r\nX-Trailer: a\r\n\r\n"),
            ("Transfer-Encoding: chunked", "002\r\n{}\r\n0\r\n\r\n"), ("Transfer-Encoding: chunked", "2\n{}\n0\n\n"),
            ("Transfer_Encoding: chunked\r\nContent-Length: 2", "{}"), ("X: a\nContent-Length: 2", "{}"),
            (
                "Upgrade: h2c\r\nConnection: close, Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2",
                "{}"
            ),
        ]
        try await onThread {
            for (fields, body) in odd {
                let response = try deployment.exchange(
                    "POST /v1/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(fields)\r\n\r\n\(body)",
                    with: front)
                #expect(response.contains("HTTP/1.1 200 "), "\(fields) \(body)")
            }
            let lines = seen.value.split(separator: "\n")
            #expect(lines.count == odd.count)
            #expect(Set(lines) == ["accept-encoding content-length host: {}"])
        }
    }
}

extension Deployment {
    /// Sends bytes to nginx, or to another one in front of it, and returns all it says until it closes.
    func exchange(_ request: String, with front: NginxServer? = nil) throws -> String {
        let connection = try SocketConnection(port: (front ?? nginx).port)
        try connection.send(request)
        var response: [UInt8] = []
        // nginx may reset a connection on which it has left something unread: what came before counts.
        while let piece = try? connection.read(), !piece.isEmpty { response += piece }
        return String(decoding: response, as: UTF8.self)
    }
}
