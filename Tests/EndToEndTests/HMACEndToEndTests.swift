import Foundation
import TestSupport
import Testing

/// Validation by the central system, and its secrets.
@Suite struct HMACEndToEndTests {
    /// The default is no protection on a public port.
    @Test(arguments: ["optional", "required"])
    func theLogShowsTheHMACPolicy(policy: String) async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_HMAC": policy])
        let words = "<5>provider.hmac is optional: anyone who can reach nginx can use the GPU without an HMAC"
        #expect(deployment.worker.standardError.contains(words) == (policy == "optional"))
    }

    @Test func eachVerdict() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_HMAC": "required"],
            central: { request in
                switch try request.bodyText() {
                case #"{"hmac":"good"}"#: try FakeCentral.valid(request)
                case #"{"hmac":"bad"}"#: try request.respond(401, #"{"valid":false,"error":"expired"}"#)
                default: try request.respond(500, "down")
                }
            })
        try await onThread {
            func respond(_ hmac: String?) throws -> String {
                let response = try deployment.complete(headers: hmac.map { ["X-Inferoute-HMAC: \($0)"] } ?? [])
                return "\(response.status) \(response.body)"
            }
            #expect(try respond("good") == "200 {}")
            for (hmac, status, code) in [
                ("bad", 401, "invalid_hmac"), (nil, 401, "missing_hmac"), ("", 401, "missing_hmac"),
                ("two words", 401, "invalid_hmac"), ("broken", 503, "hmac_unavailable"),
            ] {
                let response = try respond(hmac)
                #expect(response.hasPrefix("\(status) {\"error\":{\"code\":\"\(code)\""), "\(hmac ?? "none")")
            }
            #expect(deployment.engine.requests.count == 1)
            deployment.central.stop()
            #expect(try respond("good").contains("hmac_unavailable"))
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

    /// Neither of two HMACs counts. nginx before 1.23 passes both on; later versions join them.
    @Test(arguments: ["optional", "required"], ["worker", "nginx"])
    func twoHMACsAreRefused(policy: String, forward: String) async throws {
        let deployment = try await Deployment(forward: forward, settings: ["PROVIDER_HMAC": policy])
        try await onThread {
            for hmacs in [
                ["good", "good"], ["good", "bad"], ["bad", "good"], ["good", ""], ["", "good"], ["good, good"],
            ] {
                let response = try deployment.complete(headers: hmacs.map { "X-Inferoute-HMAC: \($0)" })
                #expect(response.status == 400)
                #expect(
                    response.body.contains(
                        #""code":"bad_request","message":"The header X-Inferoute-HMAC occurs more"#))
            }
            #expect(deployment.central.requests.isEmpty)
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    /// The central system hears of each use and decides; what it said before counts for nothing.
    @Test(arguments: ["worker", "nginx"])
    func theCentralSystemDecidesOnAReplay(forward: String) async throws {
        let asked = SharedValue("")
        let deployment = try await Deployment(
            forward: forward,
            central: { request in
                asked.value += try request.bodyText()
                try Self.respond(request, isFirst: asked.value == #"{"hmac":"once"}"#)
            })
        try await onThread {
            #expect(try deployment.complete(headers: ["X-Inferoute-HMAC: once"]).status == 200)
            for count in 2...4 {
                let replayed = try deployment.complete(headers: ["X-Inferoute-HMAC: once"])
                #expect(replayed.status == 401)
                #expect(deployment.central.requests.count == count)
            }
            #expect(deployment.engine.requests.count == 1)
            deployment.central.stop()
            #expect(try deployment.complete(headers: ["X-Inferoute-HMAC: once"]).status == 503)
            #expect(deployment.engine.requests.count == 1)
        }
    }

    private static func respond(_ request: ScriptedRequest, isFirst: Bool) throws {
        try request.respond(isFirst ? 200 : 401, isFirst ? #"{"valid":true}"# : #"{"valid":false,"error":"used"}"#)
    }

    /// No request waits for the verdict on another one and takes it for its own.
    @Test(arguments: ["worker", "nginx"])
    func theCentralSystemDecidesOnSimultaneousReplays(forward: String) async throws {
        let count = 8
        let turn = Counter()
        let all = Gate()
        let deployment = try await Deployment(
            forward: forward,
            central: { request in
                let place = turn.next()
                // The central system responds only once all have been asked about.
                if place == count - 1 { for _ in 0..<count { all.open() } }
                try all.wait()
                try Self.respond(request, isFirst: place == 0)
            })
        try await onThread {
            let probes = try (0..<count).map { _ in try deployment.startCompletion(headers: ["X-Inferoute-HMAC: once"])
            }
            let statuses = try probes.map { try $0.response().status }
            #expect(statuses.sorted() == [200] + Array(repeating: 401, count: count - 1))
            #expect(deployment.central.requests.count == count)
            #expect(deployment.engine.requests.count == 1)
        }
    }

    /// A request takes its place before the central system is asked, so waiting requests are bounded as well.
    @Test(arguments: ["worker", "nginx"])
    func aRequestInValidationHoldsAPlace(forward: String) async throws {
        let response = Gate()
        let deployment = try await Deployment(
            forward: forward, settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "2", "PROVIDER_HMAC": "required"],
            central: { request in
                try response.wait()
                try FakeCentral.invalid(request)
            })
        try await onThread {
            let forged = try (0..<2).map { _ in try deployment.startCompletion(headers: ["X-Inferoute-HMAC: forged"]) }
            try deployment.waitUntil("central is asked about both") { deployment.central.requests.count == 2 }
            #expect(
                try deployment.complete(headers: ["X-Inferoute-HMAC: good"]).body.contains(
                    "too_many_requests_in_flight"))
            #expect(try deployment.fetch("GET", "/busy").status == 200)
            for _ in forged { response.open() }
            for probe in forged { #expect(try probe.response().status == 401) }
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    /// Every spelling of the header and every way to the endpoint that nginx knows.
    @Test(arguments: ["worker", "nginx"])
    func requiredLetsNoUnsignedRequestIn(forward: String) async throws {
        let deployment = try await Deployment(
            forward: forward, settings: ["PROVIDER_HMAC": "required"],
            central: { request in
                let isGood = try request.bodyText() == #"{"hmac":"good"}"#
                try request.respond(isGood ? 200 : 401, isGood ? #"{"valid":true}"# : #"{"valid":false}"#)
            })
        try await onThread {
            for fields in [
                "", "X-Inferoute-HMAC:", "X-Inferoute-HMAC:  ", "X_Inferoute_HMAC: good", "X.Inferoute.HMAC: good",
                "HTTP_X_INFEROUTE_HMAC: good", "X-Inferoute-HMACX: good", "X-Inferoute: good", "Authorization: good",
                "X-Accel-Redirect: @engine", "X-Inferoute-HMAC: bad", "X-Inferoute-HMAC: \"good\"",
                "X-Inferoute-HMAC: good;",
                "X-Inferoute-HMAC: GOOD", "X-Inferoute-HMAC: good\u{E9}", "Connection: X-Inferoute-HMAC",
            ] {
                for target in ["/v1/completions", "//v1//chat/completions", "/v1/completions?X-Inferoute-HMAC=good"] {
                    let end = fields.isEmpty ? "" : fields + "\r\n"
                    let response = try deployment.exchange(
                        "POST \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(end)Content-Length: 2\r\n\r\n{}")
                    #expect(response.hasPrefix("HTTP/1.1 401 "), "\(fields) \(target)")
                }
            }
            #expect(deployment.engine.requests.isEmpty)
            #expect(try deployment.complete(headers: ["x-inferoute-hmac: good"]).status == 200)
        }
    }

    @Test func noSecretReachesALog() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_LOG_LEVEL": "trace"],
            central: { try $0.respond(401, "central-secret") },
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
