import Foundation
import TestSupport
import Testing

/// Validation by the central system, and what must never be seen of it.
@Suite struct HMACEndToEndTests {
    @Test func eachVerdict() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_HMAC": "required"],
            central: { request in
                switch try request.bodyText() {
                case #"{"hmac":"good"}"#: try request.answer(200, #"{"valid":true}"#)
                case #"{"hmac":"bad"}"#: try request.answer(401, #"{"valid":false,"error":"expired"}"#)
                default: try request.answer(500, "down")
                }
            })
        try await onThread {
            func answer(_ hmac: String?) throws -> String {
                let answer = try deployment.complete(headers: hmac.map { ["X-Inferoute-HMAC: \($0)"] } ?? [])
                return "\(answer.status) \(answer.body)"
            }
            #expect(try answer("good") == "200 {}")
            for (hmac, status, code) in [
                ("bad", 401, "invalid_hmac"), (nil, 401, "missing_hmac"), ("", 401, "missing_hmac"),
                ("two words", 401, "invalid_hmac"), ("broken", 503, "hmac_unavailable"),
            ] {
                let answer = try answer(hmac)
                #expect(answer.hasPrefix("\(status) {\"error\":{\"code\":\"\(code)\""), "\(hmac ?? "none")")
            }
            #expect(deployment.engine.requests.count == 1)
            deployment.central.stop()
            #expect(try answer("good").contains("hmac_unavailable"))
        }
    }

    /// Today's platform sends it by another name.
    @Test func anotherHeader() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_HMAC_HEADER": "X-Request-Id", "PROVIDER_HMAC": "required"])
        try await onThread {
            let right = try deployment.complete(headers: ["X-Request-Id: abc"])
            #expect(right.status == 200)
            let wrong = try deployment.complete(headers: ["X-Inferoute-HMAC: abc"])
            #expect(wrong.status == 401)
        }
    }

    @Test func noSecretReachesALog() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_LOG_LEVEL": "trace"],
            central: { try $0.answer(401, "central-secret") },
            engine: { request in
                try request.startStream()
                try request.event("engine-secret")
                request.closeAfterwards()
            })
        try await onThread {
            for headers in [[], ["X-Inferoute-HMAC: hmac-secret"]] {
                _ = try deployment.fetch(
                    "POST", "/v1/completions?query-secret",
                    headers: headers + ["Authorization: Bearer auth-secret", "Cookie: cookie-secret"],
                    body: "prompt-secret")
            }
            try deployment.waitUntil("both are logged") {
                deployment.worker.standardError.count("path=/v1/completions") == 2
                    && deployment.nginx.accessLog.count("/v1/completions") == 2
            }
            let logs = deployment.worker.standardError + deployment.nginx.accessLog
            #expect(!logs.contains("-secret"))
            #expect(!logs.contains(Deployment.apiKey))
        }
    }
}

extension String {
    func count(_ part: String) -> Int { components(separatedBy: part).count - 1 }
}
