import TestSupport
import Testing

@testable import ProviderHandlers

/// One line a request, with what an operator needs and nothing secret.
@Suite struct RequestLogTests {
    @Test func aLineARequest() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                try request.event("abc")
                try request.endStream()
            })
            fixture.handle(.completion("prompt-secret", hmac: "hmac-secret", query: "query-secret"))
            #expect(fixture.log.lines.count == 1)
            let line = fixture.log.lines.first ?? ""
            #expect(line.hasPrefix("info: request bytes=11 first_byte_ms="))
            for part in [
                " id=r1 ", " in_flight=0 ", " method=POST ", " ms=", " path=/v1/chat/completions ", " status=200",
            ] {
                #expect(line.contains(part), "\(part)")
            }
            #expect(!line.contains("secret"))
        }
    }

    @Test func aRefusalHasItsCode() async throws {
        try await onThread {
            let fixture = try PipelineFixture(gpu: .busy)
            fixture.complete()
            #expect(fixture.log.count(containing: "code=gpu_busy") == 1)
            #expect(fixture.log.count(containing: "status=503") == 1)
        }
    }

    @Test func anEngineFailureHasItsCause() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            fixture.engine.stop()
            fixture.complete()
            #expect(fixture.log.count(containing: "cause=cannot connect: ") == 1)
        }
    }
}
