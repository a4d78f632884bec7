/// One request and its response: the client's connection, and what the log says of both afterwards.
final class Exchange {
    let client: any ClientConnection
    let started = ContinuousClock.now
    private(set) var status: Int?
    private(set) var bytesSent = 0
    private(set) var firstByte: Duration?
    /// Whether the request is a completion that was admitted.
    var isAdmitted = false
    /// From the request's start until the engine was asked.
    private(set) var engineAsked: Duration?
    /// How long the central system took for the HMAC, by its verdict.
    var validation: (timing: Timing, duration: Duration)?
    /// Whether nginx was told to forward the request; there is no status of ours then.
    private(set) var isHandedOver = false
    /// The code of the refusal that was the response.
    var refusal: String?
    /// The engine failure behind the outcome, for the log; names no header and no body.
    var cause: String?
    /// What cut the response short, for the log.
    var cut: String?

    init(_ client: any ClientConnection) {
        self.client = client
    }

    var request: Request { client.request }

    func send(_ head: HTTPResponseHead) throws(Interrupted) {
        status = head.status
        try client.send(head)
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        try client.send(body)
        bytesSent += body.byteCount
    }

    func flush() throws(Interrupted) {
        try client.flush()
        noteFirstByte()
    }

    /// Lets everything leave together with the response's end.
    func finish() throws(Interrupted) {
        try client.finish()
        noteFirstByte()
    }

    /// Notes that the engine is asked now, by the worker or by nginx.
    func noteEngineAsked() { engineAsked = ContinuousClock.now - started }

    private func noteFirstByte() {
        if firstByte == nil { firstByte = ContinuousClock.now - started }
    }

    /// nginx hands over a buffered body at once. With an unbuffered body, a slow client must not hold the thread that
    /// others need for their refusals.
    static let drainLimit = Duration.seconds(3)

    /// Sends a whole response of our own; a HEAD gets its head only.
    func respond(_ response: HTTPResponse) throws(Interrupted) {
        client.drain(within: Self.drainLimit)
        try send(response.head)
        if request.method != "HEAD" { try unsafe send(response.body.span.bytes) }
        try finish()
    }

    /// Tells nginx to send the request to the engine by itself. The worker never sees the outcome.
    ///
    /// nginx "performs an internal redirect to the specified URI", to a named location with method and body unchanged
    /// (ngx_http_fastcgi_module, X-Accel-Redirect; checked on nginx 1.22). It passes no other field of ours on.
    ///
    /// - Parameter host: the `Host` that nginx sends to the engine.
    func handOver(host: String) throws(Interrupted) {
        client.drain(within: Self.drainLimit)
        isHandedOver = true
        noteEngineAsked()
        let head = HTTPResponseHead(
            status: 200,
            headers: [HTTPHeader("X-Accel-Redirect", "@engine"), HTTPHeader("X-Provider-Engine-Host", host)])
        try client.send(head)
        try client.finish()
    }

    /// What ends a transfer for this request early: the client leaves, or the worker stops.
    func interruption(_ cancellation: Cancellation) -> Interruption<Interrupted> {
        Interruption(
            cancellation: cancellation, cancelled: .refused(.shuttingDown), peer: client, hungUp: .clientGone)
    }
}
