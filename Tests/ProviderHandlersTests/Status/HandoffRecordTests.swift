import Testing

@testable import ProviderHandlers

/// nginx's word of a completion that it has forwarded by itself.
@Suite("Handoff's record")
struct HandoffRecordTests {
    private func told(_ fields: String) -> Outcome? {
        HandoffRecord.outcome(Array("<190>Nov 26 20:00:00 provider_handoff: \(fields)".utf8))
    }

    @Test("a completion")
    func completion() throws {
        let outcome = try #require(told("/v1/chat/completions /v1/chat/completions 200 1234 1.500 0.001 : 0.250"))
        #expect(outcome.endpoint == .chatCompletions)
        #expect(outcome.status == 200)
        #expect(outcome.code == "")
        #expect(outcome.bytes == 1234)
        #expect(outcome.duration == .milliseconds(1500))
        #expect(outcome.firstByte == .milliseconds(251))
        #expect(outcome.isAdmitted)
    }

    @Test(
        "a refusal of nginx's own has its code",
        arguments: [
            ("engine_unreachable", 502, "engine_unreachable"), ("engine_timeout", 504, "engine_timeout"),
            ("engine_full", 503, "too_many_requests_in_flight"),
        ])
    func refusals(location: String, status: Int, code: String) throws {
        let outcome = try #require(told("/v1/completions /.provider-client/\(location) \(status) 90 0.1 0.001 : -"))
        #expect(outcome.endpoint == .completions)
        #expect(outcome.status == status)
        #expect(outcome.code == code)
        #expect(outcome.firstByte == nil)
    }

    @Test("a client that has left")
    func clientGone() throws {
        let outcome = try #require(told("/v1/completions /v1/completions 499 0 2.0 0.001 : -"))
        #expect(outcome.code == "client_gone")
    }

    @Test(
        "anything else is dropped",
        arguments: [
            "", "a", "/v1/completions /v1/completions 200 1", "/x /x abc 1 1 1", "/x /x 99 1 1 1", "/x /x 200 -1 1 1",
            "/x /x 200 1 nan 1", "/x /x 200 1 1e99 1", "/x /x 200 99999999999999999999 1 1",
        ])
    func garbage(fields: String) {
        #expect(told(fields) == nil)
        #expect(HandoffRecord.outcome(Array(fields.utf8)) == nil)
    }
}
