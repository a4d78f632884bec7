/// Names of request headers that may carry the HMAC.
enum HeaderName {
    static let expectation = "a header name of letters, digits and hyphens without another meaning"

    /// Headers that mean something already. The engine is sent some of them, and the HMAC must never reach it; the others
    /// belong to the connection or to the body.
    private static let reserved: Set<String> = [
        "accept", "accept-encoding", "content-type", "content-encoding", "user-agent", "connection", "content-length",
        "host", "transfer-encoding",
    ]

    /// Whether a client can send the HMAC in it.
    ///
    /// Narrower than a token of RFC 9110, section 5.6.2: nginx drops a name with any other character in it without a
    /// word (ignore_invalid_headers, underscores_in_headers), and every request would then look as if it had no HMAC.
    static func isUsable(_ name: String) -> Bool {
        !name.isEmpty && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
            && !reserved.contains(name.lowercased())
    }
}
