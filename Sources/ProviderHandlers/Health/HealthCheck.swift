public final class HealthCheck: Sendable {
    func answer() -> (head: HTTPResponseHead, body: [UInt8]) { JSONAnswer.make(status: 200, ["a": "b"]) }
}
