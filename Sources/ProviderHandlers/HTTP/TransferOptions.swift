import CCurl

/// How libcurl is to behave: once for each handle, and for each request.
extension Transfer {
    func setConstantOptions(proxied: Bool) {
        setCallbacks()
        unsafe ccurl_setopt_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        // Without it libcurl changes signal handlers around every name look-up, seven system calls a request.
        unsafe ccurl_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        unsafe ccurl_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        unsafe ccurl_setopt_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        unsafe ccurl_setopt_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        // Each transfer has one; events are far smaller, and 1,000 streams are not to hold 64 MB of empty buffers.
        unsafe ccurl_setopt_long(easy, CURLOPT_BUFFERSIZE, 16_384)
        unsafe ccurl_setopt_long(easy, CURLOPT_UPLOAD_BUFFERSIZE, 65_536)
        if !proxied { unsafe ccurl_setopt_string(easy, CURLOPT_PROXY, "") }
        // One transfer at a time needs one connection; a second would only go stale beside it.
        unsafe ccurl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 1)
    }

    func setOptions(of request: HTTPRequest, headers: UnsafeMutablePointer<curl_slist>?) {
        unsafe ccurl_setopt_string(easy, CURLOPT_URL, request.url)
        unsafe ccurl_setopt_list(easy, CURLOPT_HTTPHEADER, headers)
        unsafe ccurl_setopt_long(easy, CURLOPT_CONNECTTIMEOUT_MS, request.timeouts.connect.milliseconds)
        unsafe ccurl_setopt_long(easy, CURLOPT_TIMEOUT_MS, request.timeouts.total?.milliseconds ?? 0)
        switch request.method {
        case .get: unsafe ccurl_setopt_long(easy, CURLOPT_HTTPGET, 1)
        case .post: unsafe ccurl_setopt_long(easy, CURLOPT_POST, 1)
        }
        // A streamed body cannot be sent twice, so it never starts on a kept connection that may be dead.
        var fresh = 0
        var length = -1
        switch request.body {
        case .none: length = 0
        case .bytes(let bytes): length = bytes.count
        case .stream(let known):
            fresh = 1
            length = known ?? -1
        }
        unsafe ccurl_setopt_long(easy, CURLOPT_FRESH_CONNECT, fresh)
        if request.method == .post { unsafe ccurl_setopt_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(length)) }
    }
}
