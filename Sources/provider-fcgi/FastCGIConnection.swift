import CFastCGI
import Glibc
import ProviderHandlers

/// A FastCGI connection from nginx, one request at a time, by libfcgi; made once for each thread and used by that thread
/// alone.
///
/// Owns the `FCGX_Request`, which must not move since its streams keep its address, and the connection.
@safe final class FastCGIConnection: ClientConnection {
    private let fcgx: UnsafeMutablePointer<FCGX_Request>
    private let isUnixSocket: Bool
    private(set) var request = Request(method: "", path: "")
    private(set) var hasReadAll = false
    /// Whether reading has failed; then there may be more.
    private var isInputBroken = false
    private(set) var descriptor: CInt?

    /// - Parameter isUnixSocket: whether connections come over a Unix socket.
    init(isUnixSocket: Bool) {
        self.isUnixSocket = isUnixSocket
        unsafe fcgx = .allocate(capacity: 1)
        // -1: libfcgi never accepts by itself; see `open`.
        unsafe FCGX_InitRequest(fcgx, -1, 0)
    }

    deinit {
        unsafe FCGX_Free(fcgx, 1)
        unsafe fcgx.deallocate()
    }

    /// Takes over an accepted connection and reads the request's parameters.
    ///
    /// - Parameter hmacParameter: the parameter that carries the HMAC; see `parameterName`.
    /// - Returns: false when it carried no usable request; the connection is closed then.
    func open(_ connection: CInt, hmacParameter: String) -> Bool {
        unsafe cfastcgi_adopt(fcgx, connection)
        // A connection that breaks off makes libfcgi close it and accept the next from -1, which fails at once.
        guard unsafe FCGX_Accept_r(fcgx) == 0 else { return false }
        // Each connection is for one request, also when the peer would keep it: no thread would read the next request.
        unsafe fcgx.pointee.keepConnection = 0
        descriptor = connection
        hasReadAll = false
        isInputBroken = false
        request = Request(
            method: parameter("REQUEST_METHOD"),
            path: path(),
            query: parameter("QUERY_STRING"),
            id: requestID(),
            contentType: parameter("CONTENT_TYPE"),
            contentEncoding: parameters("HTTP_CONTENT_ENCODING").joined(separator: ", "),
            accept: parameter("HTTP_ACCEPT"),
            userAgent: parameter("HTTP_USER_AGENT"),
            hmac: parameters(hmacParameter).joined(separator: ", "))
        request.isForStatus = parameter("PROVIDER_STATUS") == "on"
        request.setContentLength(parameter("CONTENT_LENGTH"))
        return true
    }

    /// Closes the connection; ends the response first where `finish` has not.
    func close() {
        // libfcgi shuts down and waits for nginx to close, which protects a response when input is left unread. On a
        // Unix socket with all input read a plain close loses nothing and saves three system calls.
        if hasReadAll && !isInputBroken && isUnixSocket { unsafe FCGX_Detach(fcgx) }
        // FCGX_Finish_r does the same, but considers a request with freed input ended. A client that has left needs no end.
        try? finish()
        unsafe FCGX_Free(fcgx, 1)
        descriptor = nil
    }

    func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        guard !hasReadAll else { return 0 }
        let wanted = CInt(clamping: buffer.byteCount)
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            // FCGX_GetStr fills the buffer unless the input ends before.
            unsafe FCGX_GetStr(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), wanted, fcgx.pointee.in)
        }
        if count < wanted {
            hasReadAll = true
            isInputBroken = unsafe FCGX_GetError(fcgx.pointee.in) != 0
            // Its buffer, 8 KiB, would otherwise stay until the response ends.
            unsafe FCGX_FreeStream(&fcgx.pointee.in)
            if isInputBroken { throw .clientGone }
        }
        return Int(count)
    }

    func drain(within limit: Duration) {
        let deadline = ContinuousClock.now + limit
        while !hasReadAll, let descriptor {
            let rest = deadline - ContinuousClock.now
            guard rest > .zero else { return }
            // A read that waits for longer fails, and libfcgi then takes the input for ended.
            Self.limitReads(of: descriptor, to: rest)
            // Only the bytes that are there already, or one byte: to fill a buffer could take many waits.
            let held = unsafe fcgx.pointee.in.pointee.stop - fcgx.pointee.in.pointee.rdNext
            var scratch = [UInt8](repeating: 0, count: max(1, held))
            var span = scratch.mutableSpan
            var bytes = unsafe span.mutableBytes
            guard (try? read(into: &bytes)) != nil else { return }
        }
    }

    private static func limitReads(of descriptor: CInt, to limit: Duration) {
        let milliseconds = Int(limit.pollMilliseconds)
        var time = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ head: HTTPResponseHead) throws(Interrupted) {
        var text = "Status: \(head.status) \(Self.reason(head.status))\r\n"
        for header in head.headers { text += "\(header.name): \(header.value)\r\n" }
        // From here rather than by nginx's add_header, which would take away all that the operator's server adds.
        if isFieldValue(request.id) { text += "X-Request-Id: \(request.id)\r\n" }
        text += "\r\n"
        let bytes = text.latin1
        try unsafe send(bytes.span.bytes)
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        guard body.byteCount > 0 else { return }
        let result = unsafe body.withUnsafeBytes { bytes in
            unsafe FCGX_PutStr(
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(clamping: bytes.count),
                fcgx.pointee.out)
        }
        guard result >= 0 else { throw .clientGone }
    }

    func flush() throws(Interrupted) {
        guard unsafe FCGX_FFlush(fcgx.pointee.out) == 0 else { throw .clientGone }
    }

    func finish() throws(Interrupted) {
        // The end of the request goes out with the last of its two output streams. Each is closed once, so that `close`
        // finds nothing left to send.
        unsafe FCGX_FClose(fcgx.pointee.err)
        guard unsafe FCGX_FClose(fcgx.pointee.out) == 0 else { throw .clientGone }
    }

    /// Sends a record of a FastCGI version that does not exist. nginx would end a truncated response as if it were complete;
    /// a malformed record makes nginx close the client's connection (ngx_http_fastcgi_process_record).
    func breakOff() {
        guard let descriptor, (try? flush()) != nil else { return }
        let malformed = [UInt8](repeating: 0xFF, count: 8)
        _ = unsafe malformed.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }
}

// MARK: - Parameters

extension FastCGIConnection {
    /// CGI's name for a request header (RFC 3875, 4.1.18).
    static func parameterName(ofHeader header: String) -> String {
        "HTTP_" + header.uppercased().map { $0 == "-" ? "_" : $0 }
    }

    /// A CGI parameter; empty when absent.
    private func parameter(_ name: String) -> String {
        guard let value = unsafe FCGX_GetParam(name, fcgx.pointee.envp) else { return "" }
        return unsafe String(cString: value)
    }

    /// All values of a parameter. nginx before 1.23 passes a repeated header as two parameters of one name; later versions
    /// join the values with ", " (its change log; RFC 3875, 4.1.18).
    private func parameters(_ name: String) -> [String] {
        guard var entry = unsafe fcgx.pointee.envp else { return [] }
        let start = name + "="
        var values: [String] = []
        // "NAME=value" one after the other, with a null pointer at the end, as FCGX_GetParam reads them.
        while let text = unsafe entry.pointee {
            if unsafe strncmp(text, start, start.utf8.count) == 0 {
                values.append(unsafe String(cString: text + start.utf8.count))
            }
            unsafe entry += 1
        }
        return values
    }

    /// nginx's normalized path: Debian's fastcgi_params passes it as DOCUMENT_URI, other set-ups as SCRIPT_NAME only.
    private func path() -> String {
        let path = parameter("DOCUMENT_URI")
        return path.isEmpty ? parameter("SCRIPT_NAME") : path
    }

    /// nginx's `$request_id` when it is passed, so that both logs name a request alike.
    private func requestID() -> String {
        let id = parameter("REQUEST_ID")
        guard id.isEmpty else { return id }
        return String(UInt64.random(in: .min ... .max), radix: 16)
    }

    /// Whether a text fits in a header: visible ASCII alone.
    private func isFieldValue(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { 0x21...0x7E ~= $0 }
    }

    /// nginx sends the words behind the status on to the client, which expects a phrase there (RFC 9110, 15).
    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 413: "Content Too Large"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 200..<300: "Success"
        case 300..<400: "Redirect"
        case 400..<500: "Client Error"
        default: "Server Error"
        }
    }
}
