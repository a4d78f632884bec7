import Glibc
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct ReportDeliveryTests {
    private func delivery(to central: ScriptedServer, within limit: Duration = .patience) -> ReportDelivery {
        var provider = Configuration.Provider()
        provider.url = central.url
        provider.apiKey = Secret("key")
        return ReportDelivery(
            central: CentralClient(http: HTTPClient(proxied: false), provider: provider), limit: limit,
            logger: RecordingLog().logger)
    }

    @Test func theReportGoesToHealthWithTheKey() async throws {
        try await onThread {
            let seen = SeenRequest()
            let central = try ScriptedServer { request in
                seen.keep(request.head, try request.bodyText())
                try request.respond(200, "")
            }
            #expect(delivery(to: central).deliver(Array("{}".utf8)) == .delivered(attempts: 1))
            #expect(seen.startLine == "POST /api/provider/health HTTP/1.1")
            #expect(seen.body == "{}")
            #expect(seen.field("Authorization") == "Bearer key")
            #expect(seen.field("Content-Type") == "application/json")
        }
    }

    @Test(arguments: [301, 302, 307, 400, 401, 403, 404, 422])
    func aRefusalIsNeverRepeated(status: Int) async throws {
        try await onThread {
            let central = try ScriptedServer { try $0.respond(status, "", headers: ["Location: /elsewhere"]) }
            #expect(delivery(to: central).deliver([]) == .refused(status: status))
            #expect(central.requests.count == 1)
        }
    }

    @Test(arguments: [429, 500, 502, 503])
    func aTemporaryFailureIsTriedAgain(status: Int) async throws {
        try await onThread {
            let requests = Counter()
            let central = try ScriptedServer { try $0.respond(requests.next() == 0 ? status : 200, "") }
            #expect(delivery(to: central).deliver([]) == .delivered(attempts: 2))
        }
    }

    @Test func aBrokenConnectionIsTriedAgain() async throws {
        try await onThread {
            let requests = Counter()
            let central = try ScriptedServer { request in
                _ = try request.bodyText()
                if requests.next() == 0 { return request.closeAfterwards() }
                try request.respond(200, "")
            }
            #expect(delivery(to: central).deliver([]) == .delivered(attempts: 2))
        }
    }

    @Test func theTimeIsLimited() async throws {
        try await onThread {
            let central = try ScriptedServer { try $0.respond(503, "", headers: ["Retry-After: 3600"]) }
            let outcome = delivery(to: central).deliver([])
            // A pause past the limit is not begun.
            #expect(outcome == .notDelivered(cause: "the central system responded with 503", attempts: 1))
            central.stop()
            let unreachable = delivery(to: central, within: .milliseconds(100)).deliver([])
            #expect("\(unreachable)".hasPrefix("notDelivered(cause: \"cannot connect: "))
        }
    }

    @Test func backoffGrowsWithJitter() {
        for attempt in 1...10 {
            let full = Double(min(1 << (attempt - 1), 16))
            let pauses = (0..<100).map { _ in ReportDelivery.backoff(attempt).inSeconds }
            #expect(pauses.allSatisfy { (full / 2...full).contains($0) })
            #expect(Set(pauses).count > 1)
        }
    }
}

extension ReportDelivery {
    fileprivate func deliver(_ report: [UInt8]) -> Outcome {
        var status: Int?
        return deliver(report, status: &status)
    }
}
