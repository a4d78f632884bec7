import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct ForwardingTests {
    @Test func theRequestGoesOnAsItIs() async throws {
        try await onThread {
            let seen = SeenRequest()
            let fixture = try PipelineFixture(engine: { request in
                seen.keep(request.head, try request.bodyText())
                try request.respond(200, "{}")
            })
            let body = #"{"model":"m","messages":[{"role":"user","content":"héllo"}]}"#
            let request = Request(
                method: "POST", path: "/v1/completions", query: "a=1&b=%20", contentLength: body.utf8.count,
                contentType: "application/json; charset=utf-8", contentEncoding: "zstd", accept: "text/event-stream",
                userAgent: "client/1.0",
                hmac: "abc")
            #expect(fixture.handle(FakeClient(request, body: Array(body.utf8))).status == 200)
            #expect(seen.startLine == "POST /v1/completions?a=1&b=%20 HTTP/1.1")
            #expect(seen.body == body)
            #expect(seen.field("Content-Type") == "application/json; charset=utf-8")
            #expect(seen.field("Accept") == "text/event-stream")
            #expect(seen.field("User-Agent") == "client/1.0")
            // A response that is compressed could not be followed.
            #expect(seen.field("Accept-Encoding") == "identity")
            // Nothing else is added: what the client did not say is not said for it.
            #expect(seen.field("Content-Encoding") == "zstd")
            #expect(
                seen.names.sorted() == [
                    "accept", "accept-encoding", "content-encoding", "content-length", "content-type", "host",
                    "user-agent",
                ])
        }
    }

    @Test func whatTheClientDidNotSayIsNotSaid() async throws {
        try await onThread {
            let seen = SeenRequest()
            let fixture = try PipelineFixture(engine: { request in
                seen.keep(request.head, try request.bodyText())
                try request.respond(200, "{}")
            })
            let request = Request(method: "POST", path: "/v1/completions", contentLength: 2)
            fixture.handle(FakeClient(request, body: Array("{}".utf8)))
            #expect(seen.names.sorted() == ["accept-encoding", "content-length", "host"])
        }
    }

    @Test(arguments: [200, 201, 301, 307, 400, 401, 404, 422, 429, 500, 503])
    func everyStatusComesBackUnchanged(status: Int) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: {
                try $0.respond(
                    status, "body of \(status)", type: "text/plain",
                    headers: [
                        "Location: http://127.0.0.1:1/elsewhere", "Retry-After: 7", "Content-Encoding: identity",
                        "Set-Cookie: a=1", "Set-Cookie: b=2",
                    ])
            })
            let response = fixture.complete()
            #expect(response.status == status)
            #expect(response.text == "body of \(status)")
            #expect(response.header("Content-Type") == "text/plain")
            #expect(response.header("Content-Length") == String(response.body.count))
            #expect(response.header("Location") == "http://127.0.0.1:1/elsewhere")
            #expect(response.header("Retry-After") == "7")
            #expect(response.header("Content-Encoding") == "identity")
            #expect(response.head?.headers.filter { $0.name == "Set-Cookie" }.map(\.value) == ["a=1", "b=2"])
            #expect(fixture.engine.requests.count == 1)
        }
    }

    @Test func noContentHasNoLength() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n")
            })
            let response = fixture.complete()
            #expect(response.status == 204)
            #expect(response.head?.headers == [HTTPHeader("X-A", "1")])
        }
    }

    @Test func hopByHopFieldsStay() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: {
                try $0.respond(
                    200, "{}",
                    headers: [
                        "Connection: keep-alive, X-Hop", "Keep-Alive: timeout=5", "X-Hop: 1", "Proxy-Authenticate: x",
                        "Upgrade: h2c", "Trailer: x", "TE: x", "X-Accel-Redirect: /secret", "Status: 999", "X-End: 1",
                    ])
            })
            let names = fixture.complete().head?.headers.map(\.name)
            #expect(names == ["Content-Type", "X-End", "Content-Length"])
        }
    }

    @Test(arguments: [65_536, 65_537, 1_000_000, 5_000_000], [true, false])
    func aBodyOfAnySizeArrivesWhole(size: Int, declaresLength: Bool) async throws {
        try await onThread {
            let seen = SeenRequest()
            let fixture = try PipelineFixture(engine: { request in
                let body = try request.body.all()
                let isWhole = body.indices.allSatisfy { body[$0] == UInt8($0 % 251) }
                seen.keep(request.head, "\(body.count) \(isWhole)")
                try request.respond(200, "{}")
            })
            let bytes = (0..<size).map { UInt8($0 % 251) }
            let client = FakeClient(
                Request(method: "POST", path: "/v1/completions", contentLength: declaresLength ? size : nil),
                body: bytes)
            #expect(fixture.handle(client).status == 200)
            #expect(seen.body == "\(size) true")
            #expect(client.hasReadAll)
            let isChunked = !declaresLength && size > RequestBody.smallLimit
            #expect(seen.field("Transfer-Encoding") == (isChunked ? "chunked" : nil))
        }
    }

    @Test func aBodyCutOffOnItsWayIsNoRequest() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            for size in [100, 200_000] {
                let request = Request(method: "POST", path: "/v1/completions", contentLength: size)
                let response = fixture.handle(FakeClient(request, body: Array(repeating: 0x20, count: size - 1)))
                #expect(response.head == nil)
            }
            #expect(fixture.log.count(containing: "cut=client_gone") == 2)
            #expect(fixture.admission.inFlight == 0)
        }
    }
}
