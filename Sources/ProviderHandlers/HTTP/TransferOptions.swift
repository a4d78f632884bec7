import CCurl

/// How libcurl is to behave: once for each handle, and for each request.
extension Transfer {
    func setConstantOptions(names: SharedNames) {
        setCallbacks()
        unsafe ccurl_setopt_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        unsafe ccurl_setopt_pointer(easy, CURLOPT_SHARE, names.share)
        // Without it libcurl changes signal handlers around every name look-up, seven system calls a request.
        unsafe ccurl_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        unsafe ccurl_setopt_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        unsafe ccurl_setopt_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        // A proxy's answer to CONNECT would be taken for the server's.
        unsafe ccurl_setopt_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // A name look-up that hangs is left behind instead of waited for when its transfer is given up.
        unsafe ccurl_setopt_long(easy, CURLOPT_QUICK_EXIT, 1)
        // Each transfer has one; events are far smaller, and 1,000 streams are not to hold 64 MB of empty buffers.
        unsafe ccurl_setopt_long(easy, CURLOPT_BUFFERSIZE, 16_384)
        unsafe ccurl_setopt_long(easy, CURLOPT_UPLOAD_BUFFERSIZE, 65_536)
        // One transfer at a time needs one connection; a second would only go stale beside it.
        unsafe ccurl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 1)
    }

    /// A proxy carries TLS and nothing else: over plain http it would read the key, and could answer in central's name.
    private func mayBeProxied(_ request: HTTPRequest) -> Bool {
        proxied && request.url.hasPrefix("https://")
    }

    /// - Parameter isFresh: whether the request must not use a kept connection.
    func setOptions(of request: HTTPRequest, headers: UnsafeMutablePointer<curl_slist>?, isFresh: Bool) {
        unsafe ccurl_setopt_string(easy, CURLOPT_URL, request.url)
        unsafe ccurl_setopt_list(easy, CURLOPT_HTTPHEADER, headers)
        // An empty one is none; without any libcurl looks into the environment.
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
