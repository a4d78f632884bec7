import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct RefusalTests {
    @Test(arguments: [
        ("GET", "/", 404, "not_found"), ("POST", "/v1/embeddings", 404, "not_found"),
        ("DELETE", "/nothing", 404, "not_found"), ("GET", "/health/", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"), ("DELETE", "/busy", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("HEAD", "/v1/completions", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/completions", 405, "method_not_allowed"),
    ])
    func pathThenMethod(method: String, path: String, status: Int, code: String) async throws {
        try await onThread {
            let response = try PipelineFixture().handle(FakeClient(Request(method: method, path: path)))
            #expect(response.status == status)
            #expect(response.code == code || method == "HEAD")
            #expect(response.header("Content-Type") == "application/json")
            let allowed = path.hasPrefix("/v1") ? "POST" : "GET, HEAD"
            #expect(response.header("Allow") == (status == 405 ? allowed : nil))
        }
    }

    @Test func anErrorHasOpenAIsShape() async throws {
        try await onThread {
            let response = try PipelineFixture(gpu: .busy).complete()
            #expect(response.status == 503)
            #expect(
                response.text
                    == #"{"error":{"code":"gpu_busy","message":"GPU is busy","param":null,"type":"server_error"}}"#)
            #expect(response.header("Retry-After") == "1")
            #expect(response.header("Content-Length") == String(response.body.count))
        }
    }

    @Test(arguments: [
        (Refusal.gpuBusy, 503, "gpu_busy"), (.gpuUnknown, 503, "gpu_unknown"),
        (.tooManyInFlight(limit: 1), 503, "too_many_requests_in_flight"), (.invalidHMAC, 401, "invalid_hmac"),
        (.missingHMAC(header: "X"), 401, "missing_hmac"), (.hmacUnavailable, 503, "hmac_unavailable"),
        (.engineUnreachable, 502, "engine_unreachable"), (.engineBroken, 502, "engine_unreachable"),
        (.engineTimeout, 504, "engine_timeout"), (.badRequest, 400, "bad_request"),
        (.repeatedHMAC(header: "X"), 400, "bad_request"),
        (.bodyTooLarge(limit: 1), 413, "body_too_large"),
        (.emptyBody, 400, "empty_body"), (.notFound, 404, "not_found"),
        (.methodNotAllowed(allowed: ["GET"]), 405, "method_not_allowed"), (.shuttingDown, 503, "shutting_down"),
    ])
    func statusAndCode(refusal: Refusal, status: Int, code: String) {
        #expect(refusal.status == status)
        #expect(refusal.code == code)
        #expect((refusal.response.head.headers.first("Retry-After") != nil) == (status == 503))
    }

    @Test func checksComeInOrder() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: {
                    $0.server.maxBodyBytes = 10
                    $0.server.maxInFlight = 1
                    $0.provider.hmac = .required
                }, gpu: .busy)
            func response(_ method: String, _ path: String, length: Int, hmac: String = "") -> String? {
                let request = Request(method: method, path: path, contentLength: length, hmac: hmac)
                return fixture.handle(FakeClient(request, body: Array(repeating: 0x20, count: length))).code
            }
            #expect(response("PUT", "/nothing", length: 11) == "not_found")
            #expect(response("PUT", "/v1/completions", length: 11) == "method_not_allowed")
            #expect(response("POST", "/v1/completions", length: 11) == "body_too_large")
            #expect(response("POST", "/v1/completions", length: 0) == "empty_body")
            #expect(response("POST", "/v1/completions", length: 10) == "gpu_busy")
            // Busy comes before in flight, in flight before the HMAC.
            try fixture.admission.withPlaceWhileIdle(fixture) {
                fixture.setGPU(.busy)
                #expect(response("POST", "/v1/completions", length: 10) == "gpu_busy")
                fixture.setGPU(.idle)
                #expect(response("POST", "/v1/completions", length: 10) == "too_many_requests_in_flight")
            }
            #expect(response("POST", "/v1/completions", length: 10) == "missing_hmac")
            #expect(fixture.central.requests.isEmpty)
            #expect(fixture.engine.requests.isEmpty)
        }
    }

    @Test(arguments: [BusyVerdict.busy, .idle])
    func whatIsUnreadIsDrainedFirst(verdict: BusyVerdict) async throws {
        try await onThread {
            let fixture = try PipelineFixture(configure: { $0.server.maxBodyBytes = 200_000 }, gpu: verdict)
            let size = verdict == .idle ? 300_000 : 150_000
            let client = FakeClient.completion(String(repeating: "x", count: size))
            let response = fixture.handle(client)
            #expect(response.code == (verdict == .idle ? "body_too_large" : "gpu_busy"))
            #expect(client.hasReadAll)
        }
    }

    @Test func anUndeclaredBodyIsJudgedWhileItIsRead() async throws {
        try await onThread {
            let fixture = try PipelineFixture(configure: { $0.server.maxBodyBytes = 100_000 })
            let empty = fixture.handle(.completion("", declaresLength: false))
            #expect(empty.code == "empty_body")
            let small = FakeClient.completion(String(repeating: "x", count: 100_000), declaresLength: false)
            #expect(fixture.handle(small).status == 200)
            for size in [100_001, 500_000] {
                let large = FakeClient.completion(String(repeating: "x", count: size), declaresLength: false)
                #expect(fixture.handle(large).code == "body_too_large")
            }
        }
    }

    @Test(arguments: [
        ("", nil, false), ("0", 0, false), ("17", 17, false), ("99999999999999999999", Int.max, false),
        ("-5", nil, true), ("+2", nil, true), ("2 ", nil, true), ("0x2", nil, true), ("1e3", nil, true),
    ])
    func theDeclaredLength(text: String, length: Int?, isMalformed: Bool) async throws {
        try await onThread {
            var request = Request(method: "POST", path: "/v1/completions")
            request.setContentLength(text)
            #expect(request.contentLength == length)
            #expect(request.isMalformed == isMalformed)
            guard isMalformed || length == .max else { return }
            let response = try PipelineFixture().handle(FakeClient(request, body: Array("{}".utf8)))
            #expect(response.code == (isMalformed ? "bad_request" : "body_too_large"))
        }
    }

    /// An engine that believes the length would read the surplus bytes as another request.
    @Test func aBodyLongerThanDeclaredIsNotSentOn() async throws {
        try await onThread {
            let seen = SeenRequest()
            let fixture = try PipelineFixture(engine: { request in
                seen.keep(request.head, "\(try request.body.count())")
                try request.respond(200, "{}")
            })
            func response(declaring length: Int) -> FakeClient.Response {
                let request = Request(method: "POST", path: "/v1/completions", contentLength: length)
                return fixture.handle(FakeClient(request, body: Array(repeating: 0x20, count: length + 5)))
            }
            #expect(response(declaring: 5).code == "bad_request")
            #expect(fixture.engine.requests.isEmpty)
            #expect(response(declaring: 70_000).code == "bad_request")
            #expect(seen.body == nil)
        }
    }

    @Test func anEmptyBodyOfUndeclaredLengthIsJudgedBeforeTheGPU() async throws {
        try await onThread {
            let response = try PipelineFixture(gpu: .busy).handle(.completion("", declaresLength: false))
            #expect(response.code == "empty_body")
        }
    }
}

extension Admission {
    /// Holds a place while `body` runs, whatever the GPU says inside.
    fileprivate func withPlaceWhileIdle(_ fixture: PipelineFixture, _ body: () -> Void) throws {
        fixture.setGPU(.idle)
        try withPlace { _ in body() }
    }
}
