/// Sends a completion to the engine and its response back.
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

    /// Passes the engine's response on, whatever its status; or leaves that to nginx.
    ///
    /// - Throws: a refusal when the engine gave no usable response and nothing has been sent; `clientGone` when the client
    ///   has left.
    func forward(_ exchange: Exchange, _ body: RequestBody, _ cancellation: Cancellation) throws(Interrupted) {
        guard engine.forward == .worker else { return try exchange.handOver(host: engineHost) }
        let request = HTTPRequest(
            .post, target(of: exchange.request), headers: headers(of: exchange.request), body: try body.open(),
            timeouts: HTTPTimeouts(
                connect: engine.connectTimeout, firstByte: engine.firstByteTimeout, idle: engine.idleTimeout))
        exchange.noteEngineAsked()
        let relay = ResponseRelay(exchange, body, heldBytes: heldBytes)
        do throws(TransferError<Interrupted>) {
            try http.run(request, handler: relay, interruption: exchange.interruption(cancellation))
        } catch {
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

/// Explains the 403 without a body with which Ollama refuses a request for its Host.
///
/// On a loopback listener Ollama accepts localhost, the addresses and the name of its machine, and names in .localhost,
/// .local and .internal (Ollama's server/routes.go, allowedHostsMiddleware).
enum HostRefusal {
    /// What to tell the operator; nil for any other response.
    ///
    /// - Parameter url: the engine's, as `ollama.url` has it after validation.
    static func explanation(status: Int, isBodyEmpty: Bool, url: String) -> String? {
        guard status == 403, isBodyEmpty else { return nil }
        let authority = BaseURL.host(of: url)
        let words = "Ollama refuses the Host \(authority); use localhost or an address of its machine in ollama.url"
        // Ollama takes these hosts, so another program may have refused the request.
        return isAlwaysTaken(BaseURL.hostName(of: url)) ? "403 without a body, as when " + words : words
    }

    private static func isAlwaysTaken(_ host: String) -> Bool {
        let name = host.lowercased()
        return Loopback.contains(host) || [".localhost", ".local", ".internal"].contains { name.hasSuffix($0) }
    }
}
