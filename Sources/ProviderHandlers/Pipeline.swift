public import Logging

/// Answers every request; the whole way of a request is readable here from top to bottom.
public struct Pipeline: Sendable {
    private let maxBodyBytes: Int
    private let admission: Admission
    private let hmac: HMACValidator
    private let forwarder: CompletionForwarder
    private let health: HealthCheck
    private let logger: Logger

    public init(
        maxBodyBytes: Int, admission: Admission, hmac: HMACValidator, forwarder: CompletionForwarder,
        health: HealthCheck, logger: Logger
    ) {
        self.maxBodyBytes = maxBodyBytes
        self.admission = admission
        self.hmac = hmac
        self.forwarder = forwarder
        self.health = health
        self.logger = logger
    }

    /// Handles one request to its end on the calling thread.
    public func handle(_ client: any Client) {
        let exchange = Exchange(client)
        do throws(Interrupted) {
            do throws(Interrupted) {
                try answer(exchange)
            } catch .refused(let refusal) {
                exchange.refusal = refusal.code
                try exchange.answer(refusal.response)
            }
        } catch {
            // Nobody is left to answer: the connection is gone.
            exchange.cut = "client_gone"
        }
        log(exchange)
    }

    private func answer(_ exchange: Exchange) throws(Interrupted) {
        switch try route(of: exchange.request) {
        case .health: try exchange.answer(health.answer())
        case .busy: try exchange.answer(busyAnswer())
        case .completion: try complete(exchange)
        }
    }

    private func complete(_ exchange: Exchange) throws(Interrupted) {
        let body = RequestBody(exchange.client, limit: maxBodyBytes)
        try body.checkSize()
        try admission.withPlace { cancellation throws(Interrupted) in
            try hmac.check(exchange, cancellation)
            try forwarder.forward(exchange, body, cancellation)
        }
    }

    private func route(of request: Request) throws(Interrupted) -> Route {
        do throws(Refusal) {
            return try Route(method: request.method, path: request.path)
        } catch {
            throw .refused(error)
        }
    }

    /// What the next completion would be told.
    private func busyAnswer() -> (head: HTTPResponseHead, body: [UInt8]) {
        guard let refusal = admission.refusal else { return Self.notBusy }
        return JSONAnswer.make(status: 200, BusyAnswer(busy: true, reason: refusal.code))
    }

    /// Made once: orchestrators ask often.
    private static let notBusy = JSONAnswer.make(status: 200, BusyAnswer(busy: false, reason: nil))

    private struct BusyAnswer: Encodable {
        let busy: Bool
        let reason: String?
    }

    /// One line a request; nothing of bodies, keys or HMACs, and of the target only the path.
    private func log(_ exchange: Exchange) {
        let request = exchange.request
        var metadata: Logger.Metadata = [
            "id": "\(request.id)", "method": "\(request.method)", "path": "\(request.path)",
            "status": exchange.isHandedOver ? "handed_over" : Self.number(exchange.status),
            "bytes": Self.number(exchange.bytesSent),
            "ms": Self.number((ContinuousClock.now - exchange.started).milliseconds),
            "first_byte_ms": Self.number(exchange.firstByte?.milliseconds),
            "in_flight": Self.number(admission.inFlight),
        ]
        if let refusal = exchange.refusal { metadata["code"] = "\(refusal)" }
        if let cut = exchange.cut { metadata["cut"] = "\(cut)" }
        if let cause = exchange.cause { metadata["cause"] = "\(cause)" }
        logger.info("request", metadata: metadata)
    }

    private static func number(_ value: Int?) -> Logger.Metadata.Value {
        value.map { .stringConvertible($0) } ?? .stringConvertible(NoValue())
    }
}
