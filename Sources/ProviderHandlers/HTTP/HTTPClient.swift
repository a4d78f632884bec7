import CCurl

/// The only HTTP client: a pool of transfers, each with its kept connection.
///
/// Last in, first out: however many threads take turns, as many connections stay open as transfers ran at once.
/// Calls block the thread they run on; any number of threads may call at once.
public final class HTTPClient: Sendable {
    /// Idle transfers above this number are freed, with the memory and connections of a burst.
    private static let idleLimit = 128

    /// Transfers beyond this number save memory; as many run at once by default.
    private static let largeLimit = 64

    private struct State {
        var idle: [Transfer] = []
        /// The number of transfers, idle or running.
        var count = 0
    }

    private let state = Locked(State())
    private let proxied: Bool

    /// - Parameter proxied: whether `https_proxy` and its like are honoured, where the URL is https: a proxy never gets to
    ///   see what it carries. For a local engine they must not be.
    public init(proxied: Bool) {
        self.proxied = proxied
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    }

    private func take() -> Transfer {
        let (kept, savesMemory) = state.withLock { state -> (Transfer?, Bool) in
            if let kept = state.idle.popLast() { return (kept, false) }
            state.count += 1
            return (nil, state.count > Self.largeLimit)
        }
        return kept ?? Transfer(proxied: proxied, savesMemory: savesMemory)
    }

    private func putBack(_ transfer: Transfer) {
        state.withLock { state in
            if state.idle.count < Self.idleLimit {
                state.idle.append(transfer)
            } else {
                state.count -= 1
            }
        }
    }

    /// Sends a request and hands the response to `handler` as it arrives.
    func run<Handler: TransferHandler>(
        _ request: HTTPRequest, handler: Handler, interruption: Interruption<Handler.Failure>
    ) throws(TransferError<Handler.Failure>) {
        let transfer = take()
        defer { putBack(transfer) }
        try transfer.run(request, maxBodyBytes: .max, handler: handler, interruption: interruption)
    }

    /// Sends a request and returns the whole response, whatever its status.
    ///
    /// - Parameter maxBodyBytes: a longer response is `HTTPError.tooLarge`.
    func fetch(_ request: HTTPRequest, maxBodyBytes: Int) throws(HTTPError) -> HTTPResponse {
        do throws(TransferError<Never>) {
            return try fetch(request, maxBodyBytes: maxBodyBytes, interruption: Interruption<Never>?.none)
        } catch {
            switch error {
            case .failed(let error): throw error
            }
        }
    }

    /// The same, for a request that can be interrupted.
    func fetch<Failure>(
        _ request: HTTPRequest, maxBodyBytes: Int, interruption: Interruption<Failure>?
    ) throws(TransferError<Failure>) -> HTTPResponse {
        let transfer = take()
        defer { putBack(transfer) }
        return try fetch(request, by: transfer, maxBodyBytes: maxBodyBytes, interruption: interruption)
    }

    /// Fetches on a connection of its own, and describes that connection.
    func examine(
        _ request: HTTPRequest, maxBodyBytes: Int
    ) -> (outcome: Result<HTTPResponse, HTTPError>, connection: HTTPConnectionFacts) {
        let transfer = Transfer(proxied: proxied, savesMemory: false)
        transfer.keepCertificates()
        let outcome: Result<HTTPResponse, HTTPError>
        do throws(TransferError<Never>) {
            outcome = .success(
                try fetch(request, by: transfer, maxBodyBytes: maxBodyBytes, interruption: Interruption<Never>?.none))
        } catch {
            switch error {
            case .failed(let error): outcome = .failure(error)
            }
        }
        return (outcome, transfer.connection)
    }

    private func fetch<Failure>(
        _ request: HTTPRequest, by transfer: Transfer, maxBodyBytes: Int, interruption: Interruption<Failure>?
    ) throws(TransferError<Failure>) -> HTTPResponse {
        let collector = ResponseCollector<Failure>()
        try transfer.run(request, maxBodyBytes: maxBodyBytes, handler: collector, interruption: interruption)
        guard let head = collector.head else { throw .failed(.broken("no response")) }
        // libcurl tells no missing field from 0 seconds.
        let retryAfter = head.headers.first("Retry-After").map { _ in transfer.retryAfter }
        return HTTPResponse(head: head, body: collector.body, retryAfter: retryAfter)
    }
}

/// Keeps a response in memory.
private final class ResponseCollector<InterruptionError: Error>: TransferHandler {
    typealias Failure = InterruptionError

    private(set) var head: HTTPResponseHead?
    private(set) var body: [UInt8] = []

    func receive(head: HTTPResponseHead) {
        self.head = head
    }

    func receive(body piece: RawSpan) {
        body.append(piece)
    }

    func receivedAllSoFar() {}

    func sendBody(into buffer: inout MutableRawSpan) -> Int { 0 }
}
