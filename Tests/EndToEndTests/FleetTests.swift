import TestSupport
import Testing

/// nginx/fleet.conf in front of machines that a test scripts; scripts/test-fleet has the whole, with networks.
@Suite struct FleetTests {
    private static func fleet(
        _ machines: [ScriptedServer], replacing replacements: [(String, String)] = []
    ) async throws -> NginxServer {
        try await fleet(onPorts: machines.map(\.port), replacing: replacements)
    }

    /// The public machine, with three addresses that lead to the machines behind it.
    static func fleet(
        onPorts machines: [Int], replacing replacements: [(String, String)] = []
    ) async throws -> NginxServer {
        let reservation = try PortReservation()
        let prefix = try await NginxServer.prefix(port: reservation.port, workerSocket: "/nowhere/fcgi.sock")
        var replacements =
            replacements + [
                ("127.0.0.1:8080", "127.0.0.1:\(reservation.port)"), ("/var/log/nginx/provider-fleet.", ""),
            ]
        for number in 1...3 {
            replacements.append(("10.77.0.\(number):8080", "127.0.0.1:\(machines[(number - 1) % machines.count])"))
        }
        var text = try Repository.read("nginx/fleet.conf")
        for (shipped, other) in replacements {
            try #require(text.contains(shipped), "\(shipped)")
            text = text.replacing(shipped, with: other)
        }
        try prefix.write(text, to: "sites-enabled/provider.conf")
        return try await NginxServer(prefix, on: reservation)
    }

    @Test func aFloodIsRefusedInJSON() async throws {
        let machine = try ScriptedServer(FakeEngine.object)
        let nginx = try await Self.fleet([machine], replacing: [("rate=300r/s", "rate=1r/m")])
        try await onThread {
            func fetch(_ client: String) throws -> Deployment.Response {
                try HTTPProbe.fetch(port: nginx.port, "GET", "/busy", headers: ["X-Forwarded-For: \(client)"])
            }
            let statuses = try (0..<610).map { _ in try fetch("198.51.100.1").status }
            #expect(statuses.prefix(601).allSatisfy { $0 == 200 })
            let refused = try fetch("203.0.113.9, 198.51.100.1")
            #expect(refused.status == 429)
            #expect(refused.head["Retry-After"] == "1")
            #expect(refused.head["X-Request-Id"]?.count == 32)
            #expect(refused.body.contains(#""code":"rate_limited""#))
            let other = try fetch("198.51.100.2")
            #expect(other.status == 200)
        }
    }

    @Test func connectionsAreLimitedToo() async throws {
        let finish = Gate()
        let machine = try ScriptedServer { try $0.stream(["a"], pausingAt: finish) }
        let nginx = try await Self.fleet(
            [machine],
            replacing: [("limit_conn provider_fleet_connections 1024;", "limit_conn provider_fleet_connections 2;")])
        try await onThread {
            let streams = try (0..<2).map { _ in
                try HTTPProbe(port: nginx.port, "POST", "/v1/completions", body: "{}").response()
            }
            let response = try HTTPProbe.fetch(port: nginx.port, "GET", "/busy")
            #expect(response.status == 429)
            for _ in streams { finish.open() }
            for stream in streams { _ = try stream.body.all() }
        }
    }

    /// A machine that counts all clients of the fleet as one has had enough of it sooner than another.
    @Test func aMachinesOwnLimitLeadsToTheNext() async throws {
        let full = try ScriptedServer { try $0.respond(429, #"{"error":{"code":"rate_limited"}}"#) }
        let idle = try ScriptedServer { try $0.respond(200, #"{"from":"idle"}"#) }
        let nginx = try await Self.fleet([full, full, idle])
        try await onThread {
            for _ in 0..<10 {
                let response = try HTTPProbe.fetch(port: nginx.port, "POST", "/v1/completions", body: "{}")
                #expect(response.body == #"{"from":"idle"}"#)
            }
        }
    }

    /// The machines are told who the client is by the public one alone.
    @Test func theClientsOwnWordForItsAddressGoesNoFurther() async throws {
        let seen = SharedValue("")
        let machine = try ScriptedServer { request in
            seen.value = request.head.fields.filter { $0.name == "X-Forwarded-For" }.map(\.value).joined(separator: "|")
            try request.respond(200, "{}")
        }
        let nginx = try await Self.fleet([machine])
        try await onThread {
            let forwarded = ["X-Forwarded-For: 203.0.113.9, 198.51.100.1"]
            let response = try HTTPProbe.fetch(port: nginx.port, "GET", "/busy", headers: forwarded)
            #expect(response.status == 200)
            #expect(seen.value == "198.51.100.1")
        }
    }
}
