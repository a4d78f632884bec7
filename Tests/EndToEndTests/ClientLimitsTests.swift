import TestSupport
import Testing

/// The limits for each client in nginx/provider-limits.conf.
@Suite struct ClientLimitsTests {
    /// The shipped rate would hand out new requests while a test counts; this one hands out one a minute.
    private static let slowly = [("rate=100r/s", "rate=1r/m")]
    private static let burst = 200

    private static func deployment(_ replacements: [(String, String)] = slowly) async throws -> Deployment {
        try await Deployment(limitsClients: true, nginxReplacements: replacements)
    }

    /// Uses up what a client may ask for at once, and somewhat more.
    private static func exhaust(_ deployment: Deployment, target: String = "/busy", headers: [String] = []) throws
        -> [Int]
    {
        try (0..<(burst + 10)).map { _ in try deployment.fetch("GET", target, headers: headers).status }
    }

    @Test func aFloodIsRefusedInJSON() async throws {
        let deployment = try await Self.deployment()
        try await onThread {
            let statuses = try Self.exhaust(deployment)
            #expect(statuses.prefix(Self.burst + 1).allSatisfy { $0 == 200 })
            #expect(statuses.last == 429)
            let completion = try deployment.complete()
            #expect(completion.status == 429)
            #expect(completion.head["Content-Type"] == "application/json")
            #expect(completion.head["Retry-After"] == "1")
            #expect(completion.head["X-Request-Id"]?.count == 32)
            #expect(completion.body.contains(#""type":"rate_limit_error","param":null,"code":"rate_limited""#))
            #expect(!deployment.engine.requests.contains { $0.hasPrefix("POST") })
            // Requests that cost nginx no more than a refusal are served as before.
            #expect(try deployment.fetch("GET", "/nothing").body.contains(#""code":"not_found""#))
            #expect(try deployment.exchange("garbage\r\n\r\n").contains(#""code":"bad_request""#))
            // A flood does not fill the error log, which quotes request lines; the access log shows the flood.
            #expect(!deployment.nginx.errorLog.contains("limiting"))
            try deployment.waitUntil("it is logged") { deployment.nginx.accessLog.contains(#""status":"429""#) }
        }
    }

    /// Behind a tunnel everybody comes from loopback; the tunnel's agent names the client last.
    @Test func clientsOfTheTunnelAreToldApart() async throws {
        let deployment = try await Self.deployment()
        try await onThread {
            func status(_ addresses: String) throws -> Int {
                try deployment.fetch("GET", "/busy", headers: ["X-Forwarded-For: \(addresses)"]).status
            }
            let statuses = try Self.exhaust(deployment, headers: ["X-Forwarded-For: 198.51.100.1"])
            #expect(statuses.last == 429)
            #expect(try status("198.51.100.2") == 200)
            #expect(try status("2001:db8::1") == 200)
            // A header of the client's does not change its identity.
            #expect(try status("203.0.113.9, 198.51.100.1") == 429)
            #expect(try status("127.0.0.1, ::1, 198.51.100.1") == 429)
            // Nor of somebody else: this one is not who it says first.
            #expect(try status("198.51.100.1, 198.51.100.3") == 200)
            try deployment.waitUntil("the log has the client") {
                deployment.nginx.accessLog.contains(#""client":"198.51.100.3""#)
            }
        }
    }

    /// A peer that is not the tunnel's agent is who it is.
    @Test func onlyTheTunnelIsBelieved() async throws {
        let deployment = try await Self.deployment(Self.slowly + [("set_real_ip_from 127.0.0.1;", "")])
        try await onThread {
            #expect(try Self.exhaust(deployment).last == 429)
            let other = try deployment.fetch("GET", "/busy", headers: ["X-Forwarded-For: 198.51.100.2"])
            #expect(other.status == 429)
        }
    }

    @Test func connectionsAreLimitedToo() async throws {
        let finish = Gate()
        let deployment = try await Deployment(
            limitsClients: true,
            nginxReplacements: [
                ("limit_conn provider_connections 256;", "limit_conn provider_connections 3;")
            ],
            engine: { request in try request.stream(["a"], pausingAt: finish) })
        try await onThread {
            let streams = try (0..<3).map { _ in try deployment.startCompletion().response() }
            let refused = try deployment.complete()
            #expect(refused.status == 429)
            #expect(refused.body.contains(#""code":"rate_limited""#))
            #expect(refused.head["Retry-After"] == "1")
            #expect(try deployment.fetch("GET", "/busy", headers: ["X-Forwarded-For: 198.51.100.2"]).status == 200)
            for _ in streams { finish.open() }
            for stream in streams { _ = try stream.body.all() }
            try deployment.waitUntil("a place is free") { try deployment.fetch("GET", "/busy").status == 200 }
        }
    }

    /// nginx knows the client of a connection once it has read a head; connections without a head end by their time limit.
    @Test func aConnectionWithoutAHeadIsNotCounted() async throws {
        let finish = Gate()
        let deployment = try await Deployment(
            limitsClients: true,
            nginxReplacements: [
                ("limit_conn provider_connections 256;", "limit_conn provider_connections 2;")
            ],
            engine: { request in try request.stream(["a"], pausingAt: finish) })
        try await onThread {
            let begun = try (0..<20).map { _ in
                let connection = try SocketConnection(port: deployment.nginx.port)
                try connection.send("GET /busy HTTP/1.1\r\nHost: a\r\n")
                return connection
            }
            let streams = try (0..<2).map { _ in try deployment.startCompletion().response() }
            #expect(streams.allSatisfy { $0.status == 200 })
            // The limit works: a connection with a complete head exceeds it.
            try begun[0].send("\r\n")
            #expect(try begun[0].readLine()?.hasPrefix("HTTP/1.1 429 ") == true)
            for _ in streams { finish.open() }
            for stream in streams { _ = try stream.body.all() }
        }
    }

    /// All that two workers take on at once, from one address and as shipped; what is too much is the workers' to refuse.
    @Test func oneOrchestratorIsNotHurt() async throws {
        let finish = Gate()
        let count = 128
        let deployment = try await Deployment(
            settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "\(count)"], limitsClients: true,
            engine: { request in
                guard request.method == "POST" else { return try request.respond(404, "") }
                try request.stream(["a"], pausingAt: finish)
            })
        try await onThread {
            let headers = ["X-Forwarded-For: 198.51.100.1"]
            let streams = try (0..<count).map { _ in try deployment.startCompletion(headers: headers).response() }
            for stream in streams { #expect(stream.status == 200) }
            for _ in 0..<60 { #expect(try deployment.fetch("GET", "/busy", headers: headers).status == 200) }
            let refused = try deployment.complete(headers: headers)
            #expect(refused.body.contains(#""code":"too_many_requests_in_flight""#))
            for _ in streams { finish.open() }
            for stream in streams { _ = try stream.body.all() }
        }
    }

    /// Where nginx forwards by itself it has two limits of connections, and obeys both.
    @Test func theHandoffHasBothLimits() async throws {
        let finish = Gate()
        let deployment = try await Deployment(
            forward: "nginx", limitsClients: true,
            nginxReplacements: [
                ("limit_conn provider_connections 256;", "limit_conn provider_connections 40;")
            ],
            engine: { request in try request.stream(["a"], pausingAt: finish) })
        try await onThread {
            func start(_ client: Int) throws -> HTTPProbeResponse {
                try deployment.startCompletion(headers: ["X-Forwarded-For: 198.51.100.\(client)"]).response()
            }
            let first = try (0..<40).map { _ in try start(1) }
            #expect(try start(1).status == 429)
            let second = try (0..<24).map { _ in try start(2) }
            let full = try start(2)
            #expect(full.status == 503)
            #expect(String(decoding: try full.body.all(), as: UTF8.self).contains("too_many_requests_in_flight"))
            for stream in first + second {
                #expect(stream.status == 200)
                finish.open()
            }
            for stream in first + second { _ = try stream.body.all() }
        }
    }
}
