import CCurl

/// The one HTTP client: a pool of transfers, each with its kept connection.
///
/// Last in, first out: however many threads take turns, as many connections stay open as transfers ran at once.
/// Calls block the thread they run on; any number of threads may call at once.
public final class HTTPClient: Sendable {
    /// More idle transfers than this are freed; a burst's memory and connections do not stay for good.
    private static let idleLimit = 128

    /// Number of prompt transfers (see `Transfer`): as many as run at once by default. Further transfers save memory.
    private static let promptLimit = 64

    private struct State {
        var idle: [Transfer] = []
        var prompt = 0
    }

    private let state = Locked(State())
    private let proxied: Bool
    private let names: SharedNames

    /// - Parameter proxied: whether `https_proxy` and its like are honoured, where the URL is https: a proxy never gets to
    ///   see what it carries. For a local engine they must not be.
    public init(proxied: Bool) {
        self.proxied = proxied
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        names = SharedNames()
    }

    /// Sends a request and hands the answer to `handler` as it arrives.
    func run(_ request: HTTPRequest, handler: any TransferHandler, interruption: Interruption?) throws(HTTPError) {
        let transfer = take()
        defer { putBack(transfer) }
        try transfer.run(request, handler: handler, interruption: interruption)
    }

    private func take() -> Transfer {
        let (kept, isPrompt) = state.withLock { state -> (Transfer?, Bool) in
            if let kept = state.idle.popLast() { return (kept, false) }
            let isPrompt = state.prompt < Self.promptLimit
            if isPrompt { state.prompt += 1 }
            return (nil, isPrompt)
        }
        return kept ?? Transfer(proxied: proxied, names: names, isPrompt: isPrompt)
    }

    private func putBack(_ transfer: Transfer) {
        state.withLock { state in
            if state.idle.count < Self.idleLimit {
                state.idle.append(transfer)
            } else if transfer.isPrompt {
                state.prompt -= 1
            }
        }
    }

    /// Sends a request and returns the whole answer, whatever its status.
    ///
    /// - Parameter maxBodyBytes: a longer answer is `HTTPError.tooLarge`.
    func fetch(
        _ request: HTTPRequest, maxBodyBytes: Int, interruption: Interruption? = nil
    ) throws(HTTPError) -> HTTPResponse {
        let collector = ResponseCollector(limit: maxBodyBytes)
        try run(request, handler: collector, interruption: interruption)
        guard let head = collector.head else { throw .broken("no answer") }
        return HTTPResponse(head: head, body: collector.body)
    }
}

/// Keeps a bounded answer in memory.
private final class ResponseCollector: TransferHandler {
    private let limit: Int
    private(set) var head: HTTPResponseHead?
    private(set) var body: [UInt8] = []

    init(limit: Int) {
        self.limit = limit
    }

    func receive(head: HTTPResponseHead) {
        self.head = head
    }

    func receive(body piece: RawSpan) throws(HTTPError) {
        guard body.count + piece.byteCount <= limit else { throw .tooLarge(limit: limit) }
        body.append(piece)
    }

    func receivedAllSoFar() {}

    func sendBody(into buffer: inout MutableRawSpan) -> Int { 0 }
}
