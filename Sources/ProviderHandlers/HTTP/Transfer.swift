import CCurl

/// One libcurl transfer at a time, on connections that stay open from one to the next.
///
/// `@unchecked Sendable`: `HTTPClient` gives a transfer to one thread at a time, and its lock orders the hand-over. libcurl
/// allows that: "You can pass the handles around among threads, but you must never use a single handle from more than one
/// thread at any given time" (libcurl-thread(3)).
@safe final class Transfer: @unchecked Sendable {
    private let easy: UnsafeMutableRawPointer
    private let multi: MultiHandle
    private let errorText: UnsafeMutablePointer<CChar>
    private let proxied: Bool
    /// The attempt in progress.
    private var receiver: (any Receiver)?
    private var lastResult = CURLE_OK

    /// - Parameter savesMemory: whether system calls are spent to save memory; see `MultiHandle.init`.
    init(proxied: Bool, savesMemory: Bool) {
        self.proxied = proxied
        multi = MultiHandle(isTold: !savesMemory)
        // libcurl gives no handle only when memory has run out: nothing can go on then.
        guard let easy = unsafe curl_easy_init() else { fatalError("libcurl: out of memory") }
        unsafe self.easy = unsafe easy
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        setConstantOptions()
        setCallbacks()
    }

    deinit {
        unsafe curl_easy_cleanup(easy)
        unsafe errorText.deallocate()
    }

    /// Runs one transfer to its end on this thread.
    ///
    /// A fresh connection replaces a dead kept connection, once for each transfer. libcurl also does so, but only five times
    /// in the life of a handle (curl pull request 19066).
    ///
    /// - Parameter maxBodyBytes: a longer response body is `HTTPError.tooLarge`.
    /// - Throws: also the handler's error. The connection is closed, so that an engine that was generating notices.
    func run<Handler: TransferHandler>(
        _ request: HTTPRequest, maxBodyBytes: Int, handler: Handler, interruption: Interruption<Handler.Failure>?
    ) throws(TransferError<Handler.Failure>) {
        // A streamed body cannot be sent twice, so it never travels on a connection that may be dead.
        let isStreamed = if case .stream = request.body { true } else { false }
        let started = ContinuousClock.now
        let first = Attempt(handler, maxBodyBytes)
        do throws(TransferError<Handler.Failure>) {
            try run(first, request, isFresh: isStreamed, interruption)
        } catch {
            guard first.hasDiedUnheard && long(CURLINFO_NUM_CONNECTS) == 0 else { throw error }
            var again = request
            again.timeouts.total = request.timeouts.total.map { $0 - (.now - started) }
            try run(Attempt(handler, maxBodyBytes), again, isFresh: true, interruption)
        }
    }

    /// The pause that the last response's Retry-After asks for; between none and a day.
    var retryAfter: Duration { .seconds(max(0, min(offset(CURLINFO_RETRY_AFTER), 86_400))) }

    /// Lets libcurl keep the certificates of the servers it connects to, for `connection`.
    func keepCertificates() {
        unsafe ccurl_setopt_long(easy, CURLOPT_CERTINFO, 1)
    }

    /// Describes the last attempt's connection.
    var connection: HTTPConnectionFacts {
        let isTLSError = [
            CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE,
        ].contains(lastResult)
        return HTTPConnectionFacts(hasFailedInTLS: isTLSError, certificateEnd: certificateEnd)
    }

    /// When the server's own certificate, the first of the chain, expires (Unix time).
    private var certificateEnd: Int? {
        var chain: UnsafeMutablePointer<curl_certinfo>?
        unsafe ccurl_getinfo_certificates(easy, &chain)
        guard let chain = unsafe chain, unsafe chain.pointee.num_of_certs > 0 else { return nil }
        var line = unsafe chain.pointee.certinfo[0]
        while let entry = unsafe line {
            let text = unsafe String(cString: entry.pointee.data)
            if text.hasPrefix("Expire date:") { return HTTPDate.time(String(text.dropFirst("Expire date:".count))) }
            unsafe line = unsafe entry.pointee.next
        }
        return nil
    }

    private func run<Handler>(
        _ attempt: Attempt<Handler>, _ request: HTTPRequest, isFresh: Bool,
        _ interruption: Interruption<Handler.Failure>?
    ) throws(TransferError<Handler.Failure>) {
        receiver = attempt
        unsafe errorText.pointee = 0
        let headers = HeaderList(request)
        unsafe setOptions(of: request, headers: headers.list, isFresh: isFresh)
        interruption?.cancellation.attach(multi.waker)
        unsafe multi.add(easy)
        defer {
            interruption?.cancellation.attach(nil)
            unsafe multi.remove(easy)
            unsafe ccurl_setopt_list(easy, CURLOPT_HTTPHEADER, nil)
            unsafe ccurl_setopt_pointer(easy, CURLOPT_POSTFIELDS, nil)
            receiver = nil
        }
        if case .bytes(let bytes) = request.body {
            // libcurl does not copy POSTFIELDS: the array stays in place while the closure runs.
            let result: Result<Void, TransferError<Handler.Failure>> = unsafe bytes.withUnsafeBytes { buffer in
                let address = unsafe buffer.baseAddress ?? UnsafeRawPointer(easy)
                unsafe ccurl_setopt_pointer(easy, CURLOPT_POSTFIELDS, address)
                return Result { () throws(TransferError<Handler.Failure>) in
                    try drive(attempt, request.timeouts, interruption)
                }
            }
            try result.get()
        } else {
            try drive(attempt, request.timeouts, interruption)
        }
    }

    private func drive<Handler>(
        _ attempt: Attempt<Handler>, _ timeouts: HTTPTimeouts, _ interruption: Interruption<Handler.Failure>?
    ) throws(TransferError<Handler.Failure>) {
        var lastProgress = ContinuousClock.now
        var isConnected = false
        var running: CInt = 1
        while true {
            if let error = HTTPError(multi.act(&running)) { throw .failed(error) }
            if let failure = attempt.failure { throw failure }
            if running == 0 { return try finish(attempt) }
            try attempt.receivedAllSoFar()
            // Only now, since writing to a slow client must not count as the engine's silence; nor does connecting.
            let hasProgressed = attempt.takeProgress()
            if hasProgressed || !isConnected { lastProgress = .now }
            isConnected = isConnected || offset(CURLINFO_PRETRANSFER_TIME_T) > 0
            if let interruption, interruption.cancellation.isCancelled { throw .stopped(interruption.cancelled) }
            // Until then, and without a limit of ours, libcurl's own timers (connect, total) end the wait.
            let limit = !isConnected ? nil : attempt.hasResponse ? timeouts.idle : timeouts.firstByte
            let remaining = limit.map { $0 - (ContinuousClock.now - lastProgress) } ?? .seconds(60)
            guard remaining > .zero else {
                throw .failed(.timedOut(attempt.hasResponse ? "idle" : "first byte"))
            }
            let (code, hasHungUp) = multi.wait(remaining, interruption?.peer)
            if let error = HTTPError(code) { throw .failed(error) }
            if let interruption, hasHungUp { throw .stopped(interruption.hungUp) }
        }
    }

    private func finish<Handler>(_ attempt: Attempt<Handler>) throws(TransferError<Handler.Failure>) {
        guard let result = multi.result() else { throw .failed(.broken("no result")) }
        attempt.result = result
        lastResult = result
        if result != CURLE_OK { throw .failed(error(result)) }
    }

    /// One of libcurl's numbers, times in microseconds among them; 0 for what has not been reached.
    private func offset(_ info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        unsafe ccurl_getinfo_offset(easy, info, &value)
        return Int(value)
    }

    /// One of libcurl's counts.
    private func long(_ info: CURLINFO) -> Int {
        var value = 0
        unsafe ccurl_getinfo_long(easy, info, &value)
        return value
    }
}

// MARK: - Options

extension Transfer {
    private func setConstantOptions() {
        unsafe ccurl_setopt_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        // Without it libcurl changes signal handlers around every name look-up, seven system calls a request.
        unsafe ccurl_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        unsafe ccurl_setopt_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        unsafe ccurl_setopt_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        // A proxy's response to CONNECT would be taken for the server's.
        unsafe ccurl_setopt_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // A name look-up that hangs is left behind instead of waited for when its transfer is given up.
        unsafe ccurl_setopt_long(easy, CURLOPT_QUICK_EXIT, 1)
        // Events are far smaller; each transfer has a buffer.
        unsafe ccurl_setopt_long(easy, CURLOPT_BUFFERSIZE, 16_384)
        unsafe ccurl_setopt_long(easy, CURLOPT_UPLOAD_BUFFERSIZE, 65_536)
    }

    /// A proxy carries TLS and nothing else: over plain http it would read the key, and could respond in the name of the
    /// central system.
    private func mayBeProxied(_ request: HTTPRequest) -> Bool {
        proxied && request.url.hasPrefix("https://")
    }

    /// - Parameter isFresh: whether the request must not use a kept connection.
    private func setOptions(of request: HTTPRequest, headers: UnsafeMutablePointer<curl_slist>?, isFresh: Bool) {
        unsafe ccurl_setopt_string(easy, CURLOPT_URL, request.url)
        unsafe ccurl_setopt_list(easy, CURLOPT_HTTPHEADER, headers)
        // An empty text turns proxies off; without any text libcurl looks into the environment.
        if mayBeProxied(request) {
            unsafe ccurl_setopt_pointer(easy, CURLOPT_PROXY, nil)
        } else {
            unsafe ccurl_setopt_string(easy, CURLOPT_PROXY, "")
        }
        // To libcurl 0 is no limit at all, or its own default.
        unsafe ccurl_setopt_long(easy, CURLOPT_CONNECTTIMEOUT_MS, max(1, request.timeouts.connect.milliseconds))
        let total = request.timeouts.total.map { max(1, $0.milliseconds) } ?? 0
        unsafe ccurl_setopt_long(easy, CURLOPT_TIMEOUT_MS, total)
        switch request.method {
        case .get: unsafe ccurl_setopt_long(easy, CURLOPT_HTTPGET, 1)
        case .post: unsafe ccurl_setopt_long(easy, CURLOPT_POST, 1)
        }
        let length =
            switch request.body {
            case .none: 0
            case .bytes(let bytes): bytes.count
            case .stream(let known): known ?? -1
            }
        unsafe ccurl_setopt_long(easy, CURLOPT_FRESH_CONNECT, isFresh ? 1 : 0)
        if request.method == .post { unsafe ccurl_setopt_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(length)) }
    }
}

/// A request's header fields as libcurl's list, freed with its owner.
@safe private struct HeaderList: ~Copyable {
    private(set) var list: UnsafeMutablePointer<curl_slist>?

    init(_ request: HTTPRequest) {
        unsafe list = nil
        // A value with a control character could start another field; valid values have none.
        let fields = request.headers.filter { !$0.value.isEmpty && $0.value.utf8.allSatisfy(\.isFieldByte) }
        for field in fields { append("\(field.name): \(field.value)") }
        // "Name:" without a value keeps libcurl from adding the field (CURLOPT_HTTPHEADER(3)). Requests thus say no more than
        // the client did, and no body waits for a 100 Continue that engines do not send.
        for name in ["Accept", "Content-Type", "Expect"] where fields.first(name) == nil {
            append("\(name):")
        }
        if case .stream(length: nil) = request.body { append("Transfer-Encoding: chunked") }
    }

    deinit {
        unsafe curl_slist_free_all(list)
    }

    private mutating func append(_ line: String) {
        // A null list means out of memory; the fields gathered so far are still the list's owner.
        if let longer = unsafe curl_slist_append(list, line) { unsafe list = unsafe longer }
    }
}

// MARK: - Errors

extension Transfer {
    private func error(_ code: CURLcode) -> HTTPError {
        switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
            CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE:
            .unreachable(words(code))
        case CURLE_OPERATION_TIMEDOUT:
            .timedOut(offset(CURLINFO_PRETRANSFER_TIME_T) == 0 ? "connect" : "total")
        default:
            .broken(words(code))
        }
    }

    /// libcurl's message, in a form that the log may show.
    ///
    /// libcurl quotes a proxy's URL that it cannot parse, with the password. The place of the password in an unreadable URL
    /// is unknown, so messages about a proxy quote nothing.
    private func words(_ code: CURLcode) -> String {
        let usual = unsafe String(cString: curl_easy_strerror(code))
        guard unsafe errorText.pointee != 0 else { return usual }
        let special = unsafe String(cString: errorText)
        guard proxied, special.lowercased().contains("proxy"), let variable = Self.proxyVariable else { return special }
        return "the proxy in \(variable) cannot be used (\(usual))"
    }

    /// Where libcurl finds a proxy for https, in its order (CURLOPT_PROXY(3)).
    private static var proxyVariable: String? {
        let environment = Program.environment
        return ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].first { environment[$0]?.isEmpty == false }
    }
}

extension HTTPError {
    /// nil for success. A multi handle that fails would fail again at once: to go on would spin.
    fileprivate init?(_ code: CURLMcode) {
        if code == CURLM_OK { return nil }
        self = .broken(unsafe String(cString: curl_multi_strerror(code)))
    }
}

// MARK: - Callbacks

extension Transfer {
    private static func receiver(_ context: UnsafeMutableRawPointer?) -> (any Receiver)? {
        unsafe context.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }?.receiver
    }

    /// libcurl calls each on the thread that runs the transfer.
    private func setCallbacks() {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe ccurl_setopt_pointer(easy, CURLOPT_HEADERDATA, context)
        unsafe ccurl_setopt_pointer(easy, CURLOPT_WRITEDATA, context)
        unsafe ccurl_setopt_pointer(easy, CURLOPT_READDATA, context)
        unsafe ccurl_setopt_write(easy, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let receiver = unsafe Transfer.receiver(context) else { return 0 }
            let line = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
            return unsafe receiver.receive(headerLine: line.bytes) ? size * count : 0
        }
        unsafe ccurl_setopt_write(easy, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let receiver = unsafe Transfer.receiver(context) else { return 0 }
            let body = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
            return unsafe receiver.receive(body: body.bytes) ? size * count : 0
        }
        unsafe ccurl_setopt_read(easy, CURLOPT_READFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let receiver = unsafe Transfer.receiver(context) else { return 0 }
            let buffer = unsafe UnsafeMutableRawBufferPointer(start: data, count: size * count)
            var span = unsafe buffer.mutableBytes
            return receiver.sendBody(into: &span) ?? Int(CURL_READFUNC_ABORT)
        }
    }
}
