import TestSupport
import Testing

/// However a request is spelt, it reaches one of the four endpoints or nothing.
@Suite struct PathTests {
    private static let nowhere = [
        "POST /v1/completions/", "POST /V1/completions", "POST /v1/Completions", "POST /v1/completions;x",
        "POST /v1/completions%3fx", "POST /v1/completions%23x", "POST /v1/completions%00", "POST /v1/completions%0a",
        "POST /v1/completions%20", "POST /v1/completions%5c", "POST /v1/completions\\",
        "POST /v1/completions/../models",
        "POST /v1/completions/..%2fmodels", "POST /v1/completions/%2e%2e/models", "POST /v1%252fcompletions",
        "POST http://evil.example/v1/models", "POST https:/v1/completions", "POST ../v1/completions",
        "GET /../../etc/passwd", "GET /v1/%2e%2e%2f%2e%2e%2fetc/passwd", "GET /../v1/completions", "POST /api/chat",
        "POST /api/tags", "DELETE /api/delete", "GET /v1/models", "GET /", "GET *", "GET health",
        "POST /_handoff", "POST /@engine", "POST @engine", "POST /%40engine", "POST //engine/v1/completions",
        "GET /.provider-client/", "GET /.provider-client/not_found", "GET /.provider-client/rate_limited",
        "GET /.provider-client/engine_full", "GET /.provider-client/engine_unreachable", "GET /nginx_status",
        "OPTIONS *", "OPTIONS /v1/completions", "CONNECT engine:11434", "CONNECT /v1/completions",
        "TRACE /v1/completions",
        "PUT /v1/completions", "PATCH /v1/completions", "DELETE /v1/completions", "GET /v1/completions",
        "post /v1/completions",
        "PROPFIND /v1/completions", "PRI *", "POST /v1/completions?a b", "POST /v1/completions?a\0b",
    ]

    @Test(arguments: ["worker", "nginx"])
    func leadsNowhere(forward: String) async throws {
        let deployment = try await Deployment(forward: forward)
        try await onThread {
            for line in Self.nowhere {
                let response = try deployment.exchange(Self.request(line))
                let status = response.split(separator: " ").dropFirst().first.map(String.init) ?? "none"
                #expect(["400", "404", "405"].contains(status), "\(line)")
                // TRACE and CONNECT of some spellings have no response of ours, but none has an echo.
                #expect(!response.contains("X-Marker"), "\(line)")
                #expect(response.contains(#""error":{"#), "\(line)")
            }
            #expect(deployment.engine.requests.isEmpty)
            #expect(deployment.central.requests.isEmpty)
        }
    }

    private static let completions = [
        "POST /v1/completions", "POST //v1//completions", "POST /v1/./completions", "POST /v1/%63ompletions",
        "POST /v1%2fcompletions", "POST /a/../v1/completions", "POST /a/%2e%2e/v1/completions",
        "POST http://evil.example/v1/completions", "POST http://evil.example:99/v1/completions",
        "POST /v1/completions#x", "POST /v1/completions?", "POST /.provider-client/../v1/completions",
    ]

    /// nginx normalizes a path once; what the engine is asked for is one of two texts, never the client's.
    @Test(arguments: ["worker", "nginx"])
    func leadsToACompletion(forward: String) async throws {
        let deployment = try await Deployment(forward: forward)
        try await onThread {
            for line in Self.completions {
                let response = try deployment.exchange(Self.request(line))
                #expect(response.hasPrefix("HTTP/1.1 200 "), "\(line)")
                #expect(deployment.engine.requests.last == "POST /v1/completions HTTP/1.1", "\(line)")
            }
            #expect(deployment.engine.requests.count == Self.completions.count)
        }
    }

    private static let queries = [
        "a=%0d%0aX-Marker:%201", "@evil.example:1/", "http://evil.example/", "a=b/../../models", "[1-3]{a,b}",
        "a=%00", "?", "\"<>|^`",
    ]

    /// The query goes on as it is, and is part of nothing else.
    @Test(arguments: ["worker", "nginx"])
    func theQueryIsPassedOn(forward: String) async throws {
        let deployment = try await Deployment(forward: forward)
        try await onThread {
            for query in Self.queries {
                let response = try deployment.exchange(Self.request("POST /v1/completions?" + query))
                #expect(response.hasPrefix("HTTP/1.1 200 "), "\(query)")
            }
            #expect(deployment.engine.requests == Self.queries.map { "POST /v1/completions?\($0) HTTP/1.1" })
        }
    }

    private static func request(_ line: String) -> String {
        "\(line) HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Marker: 1\r\nContent-Length: 2\r\n\r\n{}"
    }
}
