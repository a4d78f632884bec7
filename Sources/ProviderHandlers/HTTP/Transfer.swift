import CCurl
import Glibc

/// Receives what a transfer brings, on the thread that runs it. Throwing ends the transfer.
protocol TransferHandler: AnyObject {
    /// Status and headers of the final answer (no 1xx), once.
    func receive(head: HTTPResponseHead) throws(HTTPError)
    func receive(body: RawSpan) throws(HTTPError)
    /// Everything that had arrived has been received; the transfer is about to wait.
    func receivedAllSoFar() throws(HTTPError)
    /// Fills the buffer with the next piece of a streamed request body; 0 at its end.
    func sendBody(into buffer: inout MutableRawSpan) throws(HTTPError) -> Int
}

/// One libcurl transfer at a time, on connections that stay open from one to the next.
///
/// An easy handle on a multi handle of its own: the multi handle keeps the connection, can wait with a time limit, and
/// can be woken from another thread.
///
/// `@unchecked Sendable`: `HTTPClient` gives a transfer to one thread at a time and its lock orders the hand-over.
/// libcurl allows that: "You must never share the same handle in multiple threads. You can pass the handles around
/// among threads, but you must never use a single handle from more than one thread at any given time"
/// (libcurl-thread(3)).
@safe final class Transfer: @unchecked Sendable {
    let easy: UnsafeMutableRawPointer
    let multi: UnsafeMutableRawPointer
    let errorText: UnsafeMutablePointer<CChar>
    let proxied: Bool
    private let waker: TransferWaker
    /// Referred to for as long as libcurl does.
    private let names: SharedNames

    // The transfer in progress.
    private(set) var handler: (any TransferHandler)?
    private var parser = HeadParser()
    private var failure: HTTPError?
    private var lastProgress = ContinuousClock.now
    private var hasAnswer = false
    private var hasProgressed = false
    private var isConnected = false
    /// Whether the peer has sent a byte, of an interim response as well.
    private var hasHeard = false
    private var result = CURLE_OK
    /// Whether the stack has been freed of what only the beginning needed.
    private var isLean = false
    /// What libcurl waits for; nil when it is left to look for itself.
    let sockets: WatchedSockets?
    var isPrompt: Bool { sockets != nil }

    /// - Parameter isPrompt: whether libcurl is told which socket is ready, instead of asking for itself: a system call
    ///   less for each piece of an answer, for 29 KiB of memory.
    init(proxied: Bool, names: SharedNames, isPrompt: Bool) {
        self.names = names
        self.proxied = proxied
        // libcurl gives no handle only when memory has run out: nothing can go on then.
        guard let easy = unsafe curl_easy_init(), let multi = unsafe curl_multi_init() else {
            fatalError("libcurl: out of memory")
        }
        unsafe self.easy = unsafe easy
        unsafe self.multi = unsafe multi
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        waker = unsafe TransferWaker(multi)
        sockets = isPrompt ? unsafe WatchedSockets(multi) : nil
        setConstantOptions(names: names)
    }

    deinit {
        waker.invalidate()
        sockets?.invalidate()
        unsafe curl_easy_cleanup(easy)
        unsafe curl_multi_cleanup(multi)
        unsafe errorText.deallocate()
    }

    /// Runs one transfer to its end on this thread.
    ///
    /// A kept connection that turns out to be dead is replaced by a fresh one, once for each transfer. libcurl does the same,
    /// but only five times in the life of a handle (curl pull request 19066).
    ///
    /// - Throws: `HTTPError`, also the one the handler threw. The connection is then closed, so an engine that
    ///   was generating notices.
    func run(
        _ request: HTTPRequest, handler: any TransferHandler, interruption: Interruption?
    ) throws(HTTPError) {
        // A streamed body cannot be sent twice, so it never travels on a connection that may be dead.
        let isStreamed = if case .stream = request.body { true } else { false }
        let started = ContinuousClock.now
        do throws(HTTPError) {
            try runOnce(request, isFresh: isStreamed, handler: handler, interruption: interruption)
        } catch {
            guard hasDiedOnReuse else { throw error }
            var again = request
            again.timeouts.total = request.timeouts.total.map { $0 - (.now - started) }
            try runOnce(again, isFresh: true, handler: handler, interruption: interruption)
        }
    }

    /// Whether the transfer failed on a kept connection before the peer had sent anything.
    ///
    /// The peer has then closed the connection while it was idle, or at the moment of its use.
    private var hasDiedOnReuse: Bool {
        let isDead = [CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING].contains(result)
        return isDead && failure == nil && !hasHeard && long(CURLINFO_NUM_CONNECTS) == 0
    }

    private func runOnce(
        _ request: HTTPRequest, isFresh: Bool, handler: any TransferHandler, interruption: Interruption?
    ) throws(HTTPError) {
        self.handler = handler
        parser = HeadParser()
        failure = nil
        hasAnswer = false
        hasProgressed = false
        isConnected = false
        hasHeard = false
        result = CURLE_OK
        isLean = isPrompt
        lastProgress = .now
        unsafe errorText.pointee = 0
        let headers = HeaderList(request)
        unsafe setOptions(of: request, headers: headers.list, isFresh: isFresh)
        interruption?.cancellation.attach(waker)
        unsafe curl_multi_add_handle(multi, easy)
        defer {
            interruption?.cancellation.attach(nil)
            unsafe curl_multi_remove_handle(multi, easy)
            unsafe ccurl_setopt_list(easy, CURLOPT_HTTPHEADER, nil)
            unsafe ccurl_setopt_pointer(easy, CURLOPT_POSTFIELDS, nil)
            self.handler = nil
        }
        if case .bytes(let bytes) = request.body {
            // POSTFIELDS is not copied: the array stays in place for as long as the closure runs.
            let result: Result<Void, HTTPError> = unsafe bytes.withUnsafeBytes { buffer in
                let address = unsafe buffer.baseAddress ?? UnsafeRawPointer(easy)
                unsafe ccurl_setopt_pointer(easy, CURLOPT_POSTFIELDS, address)
                return Result { () throws(HTTPError) in try drive(request.timeouts, interruption) }
            }
            try result.get()
        } else {
            try drive(request.timeouts, interruption)
        }
    }

    private func drive(_ timeouts: HTTPTimeouts, _ interruption: Interruption?) throws(HTTPError) {
        var running: CInt = 1
        while true {
            try check(perform(&running))
            if let failure { throw failure }
            if running == 0 { return try finish() }
            try handler?.receivedAllSoFar()
            noteProgress()
            if let reason = interruption?.cancellation.reason { throw .cancelled(reason) }
            // Until then, and without a limit of ours, libcurl's own timers (connect, total) end the wait.
            let limit = !isConnected ? nil : hasAnswer ? timeouts.idle : timeouts.firstByte
            let remaining = limit.map { $0 - (ContinuousClock.now - lastProgress) } ?? .seconds(60)
            guard remaining > .zero else { throw .timedOut(hasAnswer ? "idle" : "first byte") }
            if hasAnswer && !isLean {
                ThreadStack.releaseUnused()
                isLean = true
            }
            try wait(remaining, interruption?.peer)
        }
    }

    private func perform(_ running: inout CInt) -> CURLMcode {
        if let sockets { return sockets.act(&running) }
        return unsafe curl_multi_perform(multi, &running)
    }

    /// Restarts the clock of the limits after what libcurl and the handler have just done.
    ///
    /// Only now, since writing to a slow client must not count as the engine's silence; nor does connecting.
    private func noteProgress() {
        if !isConnected {
            isConnected = time(CURLINFO_PRETRANSFER_TIME_T) > 0
            hasProgressed = true
        }
        if hasProgressed { lastProgress = .now }
        hasProgressed = false
    }

    /// One of libcurl's times in microseconds; 0 for what has not been reached.
    func time(_ info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        unsafe ccurl_getinfo_time(easy, info, &value)
        return Int(value)
    }

    /// One of libcurl's counts.
    private func long(_ info: CURLINFO) -> Int {
        var value = 0
        unsafe ccurl_getinfo_long(easy, info, &value)
        return value
    }

    /// What goes wrong here goes wrong again at once: without an end it would spin.
    func check(_ code: CURLMcode) throws(HTTPError) {
        if code != CURLM_OK { throw .broken(unsafe String(cString: curl_multi_strerror(code))) }
    }

    private func finish() throws(HTTPError) {
        var queued: CInt = 0
        guard let message = unsafe curl_multi_info_read(multi, &queued) else { throw .broken("no result") }
        result = unsafe ccurl_message_result(message)
        guard result != CURLE_OK else { return }
        throw error(result)
    }

    // MARK: What the callbacks bring

    /// libcurl cannot carry a Swift error: it is kept for `drive` and libcurl is told to stop.
    func attempt(_ step: () throws(HTTPError) -> Void) -> Bool {
        do throws(HTTPError) {
            try step()
            hasProgressed = true
            return true
        } catch {
            failure = error
            return false
        }
    }

    func receive(headerLine line: RawSpan) throws(HTTPError) {
        hasHeard = true
        guard let head = parser.add(line) else { return }
        hasAnswer = true
        try handler?.receive(head: head)
    }

    func receive(body: RawSpan) throws(HTTPError) {
        try handler?.receive(body: body)
    }
}
