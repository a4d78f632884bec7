public import Logging

/// Responds to every request; the whole way of a request is readable here from top to bottom.
public struct Pipeline: Sendable {
    private let maxBodyBytes: Int
    private let admission: Admission
    private let hmac: HMACValidator
    private let forwarder: CompletionForwarder
    private let health: HealthCheck
    private let recorder: RequestRecorder
    private let watch: MachineWatch?
    private let logger: Logger

    /// - Parameter watch: tells the machine's status; nil where nobody asks for it.
    public init(
        maxBodyBytes: Int, admission: Admission, hmac: HMACValidator, forwarder: CompletionForwarder,
        health: HealthCheck, recorder: RequestRecorder, watch: MachineWatch?, logger: Logger
    ) {
        self.maxBodyBytes = maxBodyBytes
        self.admission = admission
        self.hmac = hmac
        self.forwarder = forwarder
        self.health = health
        self.recorder = recorder
        self.watch = watch
        self.logger = logger
    }

    /// Handles one request to its end on the calling thread.
    public func handle(_ client: any ClientConnection) {
        let exchange = Exchange(client)
        if client.request.isForStatus { return tellStatus(exchange) }
        do throws(Interrupted) {
            do throws(Interrupted) {
                try respond(exchange)
            } catch .refused(let refusal) {
                exchange.refusal = refusal.code
                try exchange.respond(refusal.response)
            }
        } catch {
            // The connection is gone: there is no client to respond to.
            exchange.cut = Outcome.clientGone
        }
        recorder.record(exchange)
        log(exchange)
    }

    /// Responds to programs that watch this machine; neither counted nor logged, since it comes every few seconds.
    private func tellStatus(_ exchange: Exchange) {
        // A reader that has left needs no response.
        try? exchange.respond(status(for: exchange.request))
    }

    private func status(for request: Request) -> HTTPResponse {
        guard ["/metrics", "/status.json"].contains(request.path) else { return Refusal.notFound.response }
        guard Self.reading.contains(request.method) else {
            return Refusal.methodNotAllowed(allowed: Self.reading).response
        }
        guard let status = watch?.watchedStatus else { return Refusal.notFound.response }
        guard request.path == "/metrics" else {
            return JSONResponse.make(status: 200, body: StatusDocument(status).json)
        }
        let fields = [
            HTTPHeader("Content-Type", PrometheusText.contentType), HTTPHeader("Cache-Control", "no-store"),
        ]
        return HTTPResponse(head: HTTPResponseHead(status: 200, headers: fields), body: Array(status.metrics.utf8))
    }

    /// The methods of what can only be read.
    private static let reading = ["GET", "HEAD"]

    /// Not found comes before the wrong method.
    private func respond(_ exchange: Exchange) throws(Interrupted) {
        switch Endpoint(path: exchange.request.path) {
        case .health:
            try expect(Self.reading, exchange.request)
            try exchange.respond(health.response())
        case .busy:
            try expect(Self.reading, exchange.request)
            try exchange.respond(busyResponse())
        case .chatCompletions, .completions:
            // The engine tells them apart by the path.
            try expect(["POST"], exchange.request)
            try complete(exchange)
        case .other: throw .refused(.notFound)
        }
    }

    private func expect(_ methods: [String], _ request: Request) throws(Interrupted) {
        guard methods.contains(request.method) else { throw .refused(.methodNotAllowed(allowed: methods)) }
    }

    private func complete(_ exchange: Exchange) throws(Interrupted) {
        let body = RequestBody(exchange.client, limit: maxBodyBytes)
        try body.checkSize()
        try admission.withPlace { cancellation throws(Interrupted) in
            exchange.isAdmitted = true
            try hmac.check(exchange, cancellation)
            try forwarder.forward(exchange, body, cancellation)
        }
    }

    /// Whether the next completion would be refused, and with which code.
    private func busyResponse() -> HTTPResponse {
        guard let refusal = admission.refusal else { return Self.notBusy }
        return JSONResponse.make(status: 200, BusyBody(busy: true, reason: refusal.code))
    }

    /// Made once: orchestrators ask often.
    private static let notBusy = JSONResponse.make(status: 200, BusyBody(busy: false, reason: nil))

    private struct BusyBody: Encodable {
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
            "in_flight": Self.number(admission.inFlightOnMachine),
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
