/// Passes the engine's answer on to the client.
///
/// nginx ends a FastCGI answer that breaks off as if it were whole. So events are passed on as they come, and a cut is
/// told by an event of our own; any other answer is held back until it is complete, and a cut becomes a 502.
final class ResponseRelay: TransferHandler {
    /// More than this of an answer that is not a stream is not held back (bytes).
    static let holdLimit = 8 * 1024 * 1024

    private enum State {
        case waiting
        case holding(HTTPResponseHead, [UInt8])
        case streaming(EventTail)
        /// Too large to hold back, or no memory is left for that.
        case passing
    }

    private let exchange: Exchange
    private let body: RequestBody
    private let heldBytes: HeldBytes
    /// What this answer has claimed of them.
    private var claimed = 0
    private var state = State.waiting
    private var isFlushDue = false
    /// What stopped the transfer on the client's side; libcurl's thread of control carries only `HTTPError`.
    private var interrupted: Interrupted?

    init(_ exchange: Exchange, _ body: RequestBody, heldBytes: HeldBytes) {
        self.exchange = exchange
        self.body = body
        self.heldBytes = heldBytes
    }

    deinit {
        heldBytes.giveBack(claimed)
    }

    // MARK: While the transfer runs

    func receive(head: HTTPResponseHead) throws(HTTPError) {
        guard EndToEndHeaders.isEventStream(head) else {
            state = .holding(head, [])
            return
        }
        var sent = EndToEndHeaders.filtered(head)
        // nginx: "Buffering can also be enabled or disabled by passing yes or no in the X-Accel-Buffering response
        // header field" (ngx_http_fastcgi_module), so streams flow even through a site that buffers.
        sent.headers.append(HTTPHeader("X-Accel-Buffering", "no"))
        state = .streaming(EventTail(isDelimited: EndToEndHeaders.isDelimited(head)))
        try stopping { () throws(Interrupted) in try exchange.send(sent) }
        isFlushDue = true
    }

    func receive(body piece: RawSpan) throws(HTTPError) {
        switch state {
        case .waiting:
            throw .broken("body before head")
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
            try stopping { () throws(Interrupted) in
                try exchange.send(sent)
                try unsafe exchange.send(held.span.bytes)
                try exchange.send(piece)
            }
        case .streaming(var tail):
            tail.add(piece)
            state = .streaming(tail)
            try stopping { () throws(Interrupted) in try exchange.send(piece) }
        case .passing:
            try stopping { () throws(Interrupted) in try exchange.send(piece) }
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

    func receivedAllSoFar() throws(HTTPError) {
        guard isFlushDue else { return }
        isFlushDue = false
        try stopping { () throws(Interrupted) in try exchange.flush() }
    }

    func sendBody(into buffer: inout MutableRawSpan) throws(HTTPError) -> Int {
        do throws(Interrupted) { return try body.next(into: &buffer) } catch { throw stop(error) }
    }

    // MARK: At its end

    /// The transfer ended well.
    func finish() throws(Interrupted) {
        switch state {
        case .waiting:
            throw .refused(.engineBroken)
        case .holding(let head, let held):
            var sent = EndToEndHeaders.filtered(head)
            if head.status != 204 && head.status != 304 {
                sent.headers.append(HTTPHeader("Content-Length", String(held.count)))
            }
            exchange.client.drain(within: Exchange.drainLimit)
            try exchange.send(sent)
            try unsafe exchange.send(held.span.bytes)
        case .streaming(let tail):
            if tail.isCut { try sendEvent(.engineBroken, after: tail) }
        case .passing:
            break
        }
        try exchange.finish()
    }

    /// The transfer failed: tells the client as far as it still can be told.
    func fail(_ error: HTTPError) throws(Interrupted) {
        let refusal: Refusal
        switch interrupted {
        case .refused(let reason): refusal = reason
        case .clientGone: throw .clientGone
        case nil:
            guard let reason = Refusal(engine: error) else { throw .clientGone }
            refusal = reason
        }
        switch state {
        // An engine that refuses a body may close while it is still being sent, with its answer complete.
        case .holding(let head, let held)
        where interrupted == nil && head.headers.first("Content-Length") == "\(held.count)":
            try finish()
        case .waiting, .holding:
            throw .refused(refusal)
        case .streaming(let tail):
            // Nothing comes after the end, though the engine forgot HTTP's own.
            if !tail.isDone { try sendEvent(refusal, after: tail) }
            try exchange.finish()
        case .passing:
            exchange.cut = refusal.code
            exchange.client.breakOff()
        }
    }

    private func sendEvent(_ refusal: Refusal, after tail: EventTail) throws(Interrupted) {
        exchange.cut = refusal.code
        // An empty line first: what was left of a broken event must not swallow ours.
        let event = (tail.isAtEventStart ? [] : Array("\n\n".utf8)) + refusal.event
        try unsafe exchange.send(event.span.bytes)
    }

    private func stopping(_ step: () throws(Interrupted) -> Void) throws(HTTPError) {
        do throws(Interrupted) { try step() } catch { throw stop(error) }
    }

    private func stop(_ reason: Interrupted) -> HTTPError {
        interrupted = reason
        return .cancelled(.clientGone)
    }
}

extension Refusal {
    /// What a failed transfer to the engine is to the client; nil when there is no client left to tell.
    init?(engine error: HTTPError) {
        switch error {
        case .unreachable: self = .engineUnreachable
        case .timedOut: self = .engineTimeout
        case .broken, .tooLarge: self = .engineBroken
        case .cancelled(.shutdown): self = .shuttingDown
        case .cancelled(.clientGone): return nil
        }
    }
}
