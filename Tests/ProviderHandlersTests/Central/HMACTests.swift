import Synchronization
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct HMACTests {
    /// The central system's verdict, and the outcome of the request.
    @Test(arguments: [
        (200, #"{"valid":true,"request_data":{"id":7}}"#, nil), (200, #"{"valid":false}"#, "invalid_hmac"),
        (401, #"{"valid":false,"error":"expired"}"#, "invalid_hmac"), (500, #"{"valid":false}"#, "invalid_hmac"),
        (401, #"{"valid":true}"#, "hmac_unavailable"), (401, "Unauthorized", "hmac_unavailable"),
        (200, "OK", "hmac_unavailable"), (200, "", "hmac_unavailable"), (200, #"{"valid":"yes"}"#, "hmac_unavailable"),
        (204, "", "hmac_unavailable"), (503, "", "hmac_unavailable"), (404, "{}", "hmac_unavailable"),
    ])
    func verdicts(status: Int, body: String, expected: String?) async throws {
        try await onThread {
            let fixture = try PipelineFixture(central: { try $0.respond(status, body) })
            let response = fixture.complete(hmac: "abc")
            #expect(response.code == expected)
            #expect(fixture.engine.requests.count == (expected == nil ? 1 : 0))
        }
    }

    @Test func centralIsAskedWithOurKeyAndNothingElse() async throws {
        try await onThread {
            let seen = SeenRequest()
            let fixture = try PipelineFixture(central: { request in
                seen.keep(request.head, try request.bodyText())
                try FakeCentral.valid(request)
            })
            fixture.complete(hmac: #"a"b\c/d+e="#)
            #expect(seen.startLine == "POST /api/provider/validate_hmac HTTP/1.1")
            #expect(seen.body == #"{"hmac":"a\"b\\c/d+e="}"#)
            #expect(seen.field("Authorization") == "Bearer " + PipelineFixture.apiKey)
            #expect(seen.field("Content-Type") == "application/json")
        }
    }

    @Test(arguments: [Configuration.HMACPolicy.optional, .required])
    func anAbsentHMAC(policy: Configuration.HMACPolicy) async throws {
        try await onThread {
            let fixture = try PipelineFixture(configure: { $0.provider.hmac = policy })
            #expect(fixture.complete(hmac: "").code == (policy == .required ? "missing_hmac" : nil))
            #expect(fixture.central.requests.isEmpty)
        }
    }

    @Test(arguments: [
        (String(repeating: "a", count: 512), true), (String(repeating: "a", count: 513), false), ("a b", false),
        ("a\u{7F}", false), ("caf\u{E9}", false), ("a\tb", false), ("!~", true),
    ])
    func onlyVisibleASCIIReachesCentral(hmac: String, isAsked: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            #expect(fixture.complete(hmac: hmac).code == (isAsked ? nil : "invalid_hmac"))
            #expect(fixture.central.requests.count == (isAsked ? 1 : 0))
        }
    }

    @Test func centralUnreachable() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            fixture.central.stop()
            #expect(fixture.complete(hmac: "abc").code == "hmac_unavailable")
            #expect(fixture.engine.requests.isEmpty)
        }
    }

    @Test func noRedirectIsFollowed() async throws {
        try await onThread {
            let other = try ScriptedServer(FakeCentral.valid)
            let fixture = try PipelineFixture(central: {
                try $0.respond(307, "", headers: ["Location: \(other.url)/api/provider/validate_hmac"])
            })
            #expect(fixture.complete(hmac: "abc").code == "hmac_unavailable")
            #expect(other.requests.isEmpty)
        }
    }

    @Test func aResponseTooLargeIsNoVerdict() async throws {
        try await onThread {
            let fixture = try PipelineFixture(central: {
                try $0.respond(200, #"{"valid":true,"x":""# + String(repeating: "x", count: 100_000) + #""}"#)
            })
            #expect(fixture.complete(hmac: "abc").code == "hmac_unavailable")
        }
    }

    @Test func aRefusedKeyIsSaidInTheLogAndNoSecretIs() async throws {
        try await onThread {
            let fixture = try PipelineFixture(central: { try $0.respond(401, "secret-of-central") })
            fixture.complete("prompt-of-the-user", hmac: "hmac-of-the-user")
            #expect(
                fixture.log.count(
                    containing: "the central system refuses the API key of this machine (401); check provider.api_key")
                    == 1)
            for secret in [PipelineFixture.apiKey, "secret-of-central", "prompt-of-the-user", "hmac-of-the-user"] {
                #expect(fixture.log.count(containing: secret) == 0)
            }
        }
    }

    /// Without a key there is none to check.
    @Test func aMissingKeyIsSaidInTheLog() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.provider.apiKey = Secret("") }, central: { try $0.respond(401, "") })
            #expect(fixture.complete(hmac: "abc").code == "hmac_unavailable")
            #expect(
                fixture.log.count(
                    containing: "the central system requires an API key (401): no API key is set: write it into ") == 1)
            #expect(fixture.log.count(containing: "/etc/provider-client/api_key") == 1)
            #expect(fixture.log.count(containing: "check provider.api_key") == 0)
        }
    }

    @Test func theConnectionToCentralIsKept() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            for _ in 0..<10 { #expect(fixture.complete(hmac: "abc").status == 200) }
            #expect(fixture.central.requests.count == 10)
            #expect(fixture.central.connectionCount == 1)
        }
    }
}
