import TestSupport
import Testing

extension Fault {
    /// What the central system can do to us: no verdict is never taken for a good one.
    static let central: [Fault] = [
        Fault(.central, "the central system refuses connections") {
            let rig = try await FaultRig()
            return try await rig.outcome {
                let begun = rig.begun
                rig.deployment.central.stop()
                let seen = rig.crowd()
                let hasReachedEngine = rig.begun > begun
                try rig.examine()
                try rig.deployment.central.start()
                return Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: nextRequest)
            }
        },
        scripted(
            .central, "the central system hangs",
            central: { request in
                _ = try request.bodyText()
                try request.connection.waitForHangUp()
            }),
        scripted(
            .central, "the central system resets the connection",
            central: { request in
                _ = try request.bodyText()
                request.connection.reset()
            }),
        scripted(
            .central, "the central system responds with 500",
            central: { try $0.respond(500, "Internal Server Error") }),
        scripted(.central, "the central system responds with garbage", central: garbage),
        scripted(
            .central, "the central system responds with 200 without a verdict",
            central: {
                try $0.respond(200, "<html>valid</html>")
            }),
        scripted(
            .central, "the central system closes in the middle of its verdict",
            central: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"valid\":true")
                request.closeAfterwards()
            }),
        scripted(
            .central, "the central system redirects",
            central: {
                // To itself, where the next request would be held valid: none may come.
                #expect($0.target == "/api/provider/validate_hmac")
                try $0.respond(302, "", headers: ["Location: /elsewhere"])
            }),
        behindTLS(
            "the central system does not respond to TLS's first message",
            fault: { $0.pause(true) },
            over: { $0.pause(false) }),
        slowTLS("the central system's TLS takes a second to respond", recovery: "nothing to recover from") {
            try SlowRelay(to: $0, beforeAll: .seconds(1))
        },
        slowTLS("the central system's TLS responds with a byte every 50 ms") {
            try SlowRelay(to: $0, beforeEachByte: .milliseconds(50))
        },
        behindTLS(
            "the central system's certificate has expired",
            fault: { try await $0.renew(.expired) },
            over: { try await $0.renew(.good) }),
        Fault(.central, "the central system's name does not resolve", obstacle: Names.obstacle) {
            try await Names.unresolvable(.central)
        },
        Fault(.central, "the look-up of the central system's name hangs", obstacle: Names.obstacle) {
            try await Names.hanging(.central)
        },
    ]

    /// A fault of a central system behind TLS, with a trusted authority.
    private static func behindTLS(
        _ name: String, fault: @escaping @Sendable (TLSServer) async throws -> Void,
        over: @escaping @Sendable (TLSServer) async throws -> Void
    ) -> Fault {
        Fault(.central, name, obstacle: Names.obstacle) {
            let server = try await TLSServer(.good)
            let rig = try await FaultRig.movable(workerCommand: server.trustingCommand)
            return try await rig.outcomeOfSteps {
                // Each time anew, so that there is no connection from the last time.
                try await rig.move(central: server.url)
                try await fault(server)
                let outcome = try await askCentral(rig)
                try await onThread { try rig.examine(behind: server.trustingCommand) }
                try await over(server)
                try await expectServed(rig)
                try await rig.move()
                return outcome
            }
        }
    }

    /// A central system with slow TLS at first.
    private static func slowTLS(
        _ name: String, recovery: String = nextRequest, relay: @escaping @Sendable (_ port: Int) throws -> SlowRelay
    ) -> Fault {
        Fault(.central, name, obstacle: Names.obstacle) {
            let server = try await TLSServer(.good)
            let rig = try await FaultRig.movable(workerCommand: server.trustingCommand)
            return try await rig.outcomeOfSteps {
                let relay = try relay(server.port)
                try await rig.move(central: "https://127.0.0.1:\(relay.port)")
                let outcome = try await askCentral(rig, recovery)
                #expect(relay.connectionCount > 0)
                try await onThread { try rig.examine(behind: server.trustingCommand) }
                try await rig.move(central: server.url)
                try await expectServed(rig)
                try await rig.move()
                return outcome
            }
        }
    }

    private static func askCentral(_ rig: FaultRig, _ recovery: String = nextRequest) async throws -> Outcome {
        try await onThread {
            let begun = rig.begun
            let seen = rig.crowd()
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: recovery)
        }
    }

    private static func expectServed(_ rig: FaultRig) async throws {
        try await onThread {
            #expect(rig.crowd() == Array(repeating: .whole(isStream: false), count: FaultRig.crowd))
        }
    }
}
