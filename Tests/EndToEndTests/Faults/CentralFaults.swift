import TestSupport
import Testing

extension Fault {
    /// What the central system can do to us: no verdict is never taken for a good one.
    static let central: [Fault] = [
        Fault(.central, "central refuses connections") {
            let rig = try await FaultRig()
            let outcome = try await onThread {
                let begun = rig.begun
                rig.deployment.central.stop()
                let seen = rig.crowd()
                let hasReachedEngine = rig.begun > begun
                try rig.deployment.central.start()
                return Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: nextRequest)
            }
            try await rig.settle()
            return outcome
        },
        scripted(
            .central, "central hangs",
            central: { request in
                _ = try request.bodyText()
                try request.connection.waitForHangUp()
            }),
        scripted(
            .central, "central resets the connection",
            central: { request in
                _ = try request.bodyText()
                request.connection.reset()
            }),
        scripted(.central, "central answers 500", central: { try $0.answer(500, "Internal Server Error") }),
        scripted(.central, "central answers garbage", central: garbage),
        scripted(
            .central, "central answers 200 with something that is no verdict",
            central: {
                try $0.answer(200, "<html>valid</html>")
            }),
        scripted(
            .central, "central closes in the middle of its verdict",
            central: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"valid\":true")
                request.closeAfterwards()
            }),
        scripted(
            .central, "central redirects",
            central: {
                // To itself, where the next request would be held valid: none may come.
                #expect($0.target == "/api/provider/validate_hmac")
                try $0.answer(302, "", headers: ["Location: /elsewhere"])
            }),
        behindTLS(
            "central does not answer TLS's first message", .good, fault: { $0.pause(true) }, over: { $0.pause(false) }),
        behindTLS("central's certificate has expired", .expired, fault: { _ in }, over: { try await $0.renew() }),
        Fault(.central, "central's name does not resolve", obstacle: Names.obstacle) {
            try await Names.unresolvable(.central)
        },
    ]

    /// A fault of a central system that the worker reaches by TLS, and whose authority it trusts.
    private static func behindTLS(
        _ name: String, _ certificate: TLSServer.Certificate, fault: @escaping @Sendable (TLSServer) -> Void,
        over: @escaping @Sendable (TLSServer) async throws -> Void
    ) -> Fault {
        Fault(.central, name, obstacle: Names.obstacle) {
            let server = try await TLSServer(certificate)
            let rig = try await FaultRig.movable(workerCommand: server.trustingCommand)
            try await rig.move(central: server.url)
            fault(server)
            let outcome = try await onThread {
                let begun = rig.begun
                let seen = rig.crowd()
                return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: nextRequest)
            }
            try await over(server)
            try await rig.settle()
            return outcome
        }
    }
}
