/// Sends a completion to the engine and its answer back.
public struct CompletionForwarder: Sendable {
    private let http: HTTPClient
    private let engine: Configuration.Ollama
    /// What the engine is told as `Host`.
    private let engineHost: String
    private let heldBytes: HeldBytes

    /// - Parameter heldBytes: shared by all forwarders of a process.
    public init(http: HTTPClient, engine: Configuration.Ollama, heldBytes: HeldBytes = HeldBytes()) {
        self.http = http
        self.engine = engine
        engineHost = BaseURL.host(of: engine.url)
        self.heldBytes = heldBytes
    }

    /// Answers the exchange with what the engine says, whatever its status; or leaves that to nginx.
    ///
    /// - Throws: a refusal when the engine gave no usable answer and nothing has been sent; `clientGone` when there is
    ///   nobody to answer.
    func forward(_ exchange: Exchange, _ body: RequestBody, _ cancellation: Cancellation) throws(Interrupted) {
        guard engine.forward == .worker else { return try exchange.handOver(host: engineHost) }
        let request = HTTPRequest(
            .post, target(of: exchange.request), headers: headers(of: exchange.request), body: try body.open(),
            timeouts: HTTPTimeouts(
                connect: engine.connectTimeout, firstByte: engine.firstByteTimeout, idle: engine.idleTimeout))
        let relay = ResponseRelay(exchange, body, heldBytes: heldBytes)
        do throws(HTTPError) {
            try http.run(
                request, handler: relay,
                interruption: Interruption(cancellation: cancellation, peer: exchange.client))
        } catch {
            exchange.cause = "\(error)"
            return try relay.fail(error)
        }
        try relay.finish()
        let isBodyEmpty = exchange.bytesSent == 0
        exchange.cause =
            exchange.cause
            ?? HostRefusal.explanation(status: exchange.status ?? 0, isBodyEmpty: isBodyEmpty, url: engine.url)
    }

    private func target(of request: Request) -> String {
        engine.url + request.path + (request.query.isEmpty ? "" : "?" + request.query)
    }

    /// What goes on to the engine. Authorization, cookies and the HMAC are between the client and us.
    ///
    /// A response in a coding could not be read here: without the field any coding is acceptable (RFC 9110, 12.5.3).
    private func headers(of request: Request) -> [HTTPHeader] {
        [
            HTTPHeader("Content-Type", request.contentType),
            HTTPHeader("Content-Encoding", request.contentEncoding),
            HTTPHeader("Accept-Encoding", "identity"),
            HTTPHeader("Accept", request.accept),
            HTTPHeader("User-Agent", request.userAgent),
        ]
    }
}
