import Synchronization

/// Passes the engine's response on to the client.
///
/// nginx ends a FastCGI response that breaks off as if it were whole. So a stream of events is passed on as it comes, and
/// an event of our own tells of a cut. Any other response is buffered until it is complete, and a cut becomes a 502.
final class ResponseRelay: TransferHandler {
    typealias Failure = Interrupted

    /// The most of a response that is buffered (bytes); a longer response is passed on as it comes.
    static let holdLimit = 8 * 1024 * 1024
    /// The largest head that is passed on (bytes). FastCGI and the worker add to it, and `fastcgi_buffer_size` is 16 KiB.
    static let headLimit = 15 * 1024

    private enum State {
        case waiting
        case holding(HTTPResponseHead, [UInt8])
        /// nil where the stream is in a coding, and cannot be followed.
        case streaming(HTTPResponseHead, CompletionStream?)
        /// Too large for the buffer, or the memory for buffers is used up.
        case passing
    }

    private let exchange: Exchange
    private let body: RequestBody
    private let heldBytes: HeldBytes
    /// The part of `heldBytes` that this response has claimed.
    private var claimed = 0
    private var state = State.waiting
    private var isFlushDue = false

    init(_ exchange: Exchange, _ body: RequestBody, heldBytes: HeldBytes) {
        self.exchange = exchange
        self.body = body
        self.heldBytes = heldBytes
    }

    deinit {
        heldBytes.giveBack(claimed)
    }

    /// Why a head, without its hop-by-hop fields, is not passed on; nil for a head that is.
    static func reasonAgainst(_ head: HTTPResponseHead) -> String? {
        head.size <= headLimit ? nil : "the response's head has \(head.size) bytes, more than \(headLimit)"
    }

    // MARK: While the transfer runs

    func receive(head: HTTPResponseHead) throws(Interrupted) {
        var sent = EndToEndHeaders.filtered(head)
        if let reason = Self.reasonAgainst(sent) {
            exchange.cause = reason
            throw .refused(.engineHeadTooLarge)
        }
        guard EndToEndHeaders.isEventStream(head) else {
            state = .holding(head, [])
            return
        }
        // Streams flow even through a site that buffers: "Buffering can also be enabled or disabled by passing yes or no in
        // the X-Accel-Buffering response header field" (ngx_http_fastcgi_module).
        sent.headers.append(HTTPHeader("X-Accel-Buffering", "no"))
        state = .streaming(head, EndToEndHeaders.isCoded(head) ? nil : CompletionStream())
        try exchange.send(sent)
        isFlushDue = true
    }

    func receive(body piece: RawSpan) throws(Interrupted) {
        switch state {
        case .waiting:
            exchange.cause = "body before head"
            throw .refused(.engineBroken)
        case .holding(let head, var held):
            state = .waiting  // so that appending does not copy what is held
            if held.count + piece.byteCount <= Self.holdLimit && makeRoom(for: piece, in: &held) {
                held.append(piece)
                state = .holding(head, held)
                return
            }
            var sent = EndToEndHeaders.filtered(head)
            // With both, the length does not count (RFC 9112, 6.3).
            if head.headers.first("Transfer-Encoding") == nil, let length = head.headers.first("Content-Length") {
                sent.headers.append(HTTPHeader("Content-Length", length))
            }
            state = .passing
            try exchange.send(sent)
            try unsafe exchange.send(held.span.bytes)
            try exchange.send(piece)
        case .streaming(let head, var stream):
            state = .waiting  // as above
            stream?.add(piece)
            state = .streaming(head, stream)
            try exchange.send(piece)
        case .passing:
            try exchange.send(piece)
        }
        isFlushDue = true
    }

    /// Whether there is memory to hold this piece as well.
    private func makeRoom(for piece: RawSpan, in held: inout [UInt8]) -> Bool {
        let needed = held.count + piece.byteCount
        guard needed > claimed else { return true }
        let capacity = max(needed, min(2 * claimed, Self.holdLimit))
        guard heldBytes.claim(capacity - claimed) else { return false }
        claimed = capacity
        held.reserveCapacity(capacity)
        return true
    }

    func receivedAllSoFar() throws(Interrupted) {
        guard isFlushDue else { return }
        isFlushDue = false
        try exchange.flush()
    }

    func sendBody(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        try body.next(into: &buffer)
    }

    // MARK: At its end

    /// The transfer ended well.
    func finish() throws(Interrupted) {
        switch state {
        case .waiting:
            throw .refused(.engineBroken)
        case .holding(let head, let held):
            guard Self.isWhole(head, held) else {
                exchange.cause = "the connection ended within the JSON of a response without a length"
                throw .refused(.engineBroken)
            }
            var sent = EndToEndHeaders.filtered(head)
            if Self.hasBody(head) { sent.headers.append(HTTPHeader("Content-Length", String(held.count))) }
            exchange.client.drain(within: Exchange.drainLimit)
            try exchange.send(sent)
            try unsafe exchange.send(held.span.bytes)
        case .streaming(let head, let stream?)
        where stream.isCut(isDelimited: EndToEndHeaders.isDelimited(head)):
            exchange.cause = "the stream ended without [DONE] and without a finish_reason"
            try sendEvent(.engineBroken, after: stream)
        case .streaming, .passing:
            break
        }
        try exchange.finish()
    }

    /// Whether a response that was buffered is complete, as far as that can be told.
    ///
    /// Where only the end of the connection ended the response, JSON alone shows whether it is complete.
    private static func isWhole(_ head: HTTPResponseHead, _ body: [UInt8]) -> Bool {
        guard hasBody(head), !EndToEndHeaders.isDelimited(head), !EndToEndHeaders.isCoded(head) else { return true }
        return !EndToEndHeaders.isJSON(head, body) || JSON.isOneValue(body)
    }

    private static func hasBody(_ head: HTTPResponseHead) -> Bool { head.status != 204 && head.status != 304 }

    /// The transfer ended early: tells the client as far as it still can be told.
    func fail(_ error: TransferError<Interrupted>) throws(Interrupted) {
        let refusal: Refusal
        switch error {
        case .failed(let error):
            exchange.cause = "\(error)"
            refusal = Refusal(engine: error)
        case .stopped(.refused(let reason)): refusal = reason
        case .stopped(.clientGone): throw .clientGone
        }
        switch state {
        // An engine that refuses a body may close while the body is still being sent, with its response complete. A
        // request that is at fault itself (4xx) is refused all the same.
        case .holding(let head, let held)
        where refusal.status >= 500 && head.headers.first("Content-Length") == "\(held.count)":
            try finish()
        case .waiting, .holding:
            throw .refused(refusal)
        case .streaming(_, let stream?):
            // Nothing comes after the end, though the engine forgot HTTP's own.
            if !stream.hasEnded { try sendEvent(refusal, after: stream) }
            try exchange.finish()
        case .streaming(_, nil), .passing:
            exchange.cut = refusal.code
            exchange.client.breakOff()
        }
    }

    private func sendEvent(_ refusal: Refusal, after stream: CompletionStream) throws(Interrupted) {
        exchange.cut = refusal.code
        // An empty line first: the rest of a broken event must not swallow ours.
        let event = (stream.isAtEventStart ? [] : Array("\n\n".utf8)) + refusal.event
        try unsafe exchange.send(event.span.bytes)
    }
}

/// How much memory all buffered responses may take together.
///
/// `ResponseRelay.holdLimit` bounds each response. But as many as run at once, each of that size, would take hundreds of
/// mebibytes, and a process that is denied memory ends.
public final class HeldBytes: Sendable {
    private let limit: Int
    private let used = Atomic(0)

    /// - Parameter limit: in bytes. Responses are a few kilobytes as a rule: 64 MiB are more than any number of them takes.
    public init(limit: Int = 64 * 1024 * 1024) {
        self.limit = limit
    }

    /// Whether this many more bytes may be buffered; they count until they are given back.
    func claim(_ bytes: Int) -> Bool {
        guard used.wrappingAdd(bytes, ordering: .relaxed).newValue <= limit else {
            giveBack(bytes)
            return false
        }
        return true
    }

    func giveBack(_ bytes: Int) {
        used.wrappingSubtract(bytes, ordering: .relaxed)
    }
}
