/// One request and its answer: the client, and what the log says of them afterwards.
final class Exchange {
    let client: any Client
    let started = ContinuousClock.now
    private(set) var status: Int?
    private(set) var bytesSent = 0
    private(set) var firstByte: Duration?
    /// nginx was told to forward; there is no status of ours then.
    private(set) var isHandedOver = false
    /// The code of the refusal that was the answer.
    var refusal: String?
    /// The engine failure behind the outcome, for the log; names no header and no body.
    var cause: String?
    /// What cut the answer short, for the log.
    var cut: String?

    init(_ client: any Client) {
        self.client = client
    }

    var request: Request { client.request }

    func send(_ head: HTTPResponseHead) throws(Interrupted) {
        status = head.status
        try passing { () throws(ClientGone) in try client.send(head) }
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        try passing { () throws(ClientGone) in try client.send(body) }
        bytesSent += body.byteCount
    }

    func flush() throws(Interrupted) {
        try passing { () throws(ClientGone) in try client.flush() }
        noteFirstByte()
    }

    /// Lets everything leave together with the answer's end.
    func finish() throws(Interrupted) {
        try passing { () throws(ClientGone) in try client.finish() }
        noteFirstByte()
    }

    private func noteFirstByte() {
        if firstByte == nil { firstByte = ContinuousClock.now - started }
    }

    /// nginx hands over a body that it has buffered at once. A slow client of an unbuffered one must not hold the thread
    /// that others need for their refusals.
    static let drainLimit = Duration.seconds(3)

    /// Sends a whole answer of our own; a HEAD gets its head only.
    func answer(_ response: (head: HTTPResponseHead, body: [UInt8])) throws(Interrupted) {
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
    /// - Parameter host: what the engine is to be told as `Host`.
    func handOver(host: String) throws(Interrupted) {
        client.drain(within: Self.drainLimit)
        isHandedOver = true
        let head = HTTPResponseHead(
            status: 200,
            headers: [HTTPHeader("X-Accel-Redirect", "@engine"), HTTPHeader("X-Provider-Engine-Host", host)])
        try passing { () throws(ClientGone) in
            try client.send(head)
            try client.finish()
        }
    }

    private func passing(_ step: () throws(ClientGone) -> Void) throws(Interrupted) {
        do throws(ClientGone) { try step() } catch { throw .clientGone }
    }
}
