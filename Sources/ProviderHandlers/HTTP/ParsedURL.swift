import CCurl

/// The parts of an http:// or https:// URL, as libcurl reads it: the host that is checked is the host that is asked.
///
/// Stricter than libcurl. Refuses a user, which would be sent and logged, and percent signs and zones in the host. Refuses an
/// empty port, port 0, and other than two slashes before the host.
struct ParsedURL {
    let isSecure: Bool
    /// As written, without the brackets of an IPv6 address; an IPv4 address always has four decimal numbers.
    let host: String
    /// The scheme's own where none is written.
    let port: Int
    /// Of the whole URL, with a path, and with its port if one was written.
    let text: String
    /// Begins with a slash.
    let path: String
    let hasQueryOrFragment: Bool

    /// - Returns: nil for anything else, and for bytes that have no place in a URL (RFC 3986, 2).
    init?(_ text: String) {
        guard text.utf8.allSatisfy(Self.isURLByte), let mark = text.firstRange(of: "://") else { return nil }
        let authority = text[mark.upperBound...].prefix { !"/?#".contains($0) }
        guard !authority.isEmpty, authority.last != ":", !authority.contains(where: { $0 == "@" || $0 == "%" }),
            let parts = Parts(text), let host = parts.host, let scheme = parts.scheme, let whole = parts.whole,
            let port = parts.port.flatMap({ Int($0) }), let path = parts.path
        else { return nil }
        // libcurl takes a name of punctuation alone. An IPv6 address may have no digit.
        guard scheme == "http" || scheme == "https", 1...65_535 ~= port,
            host.contains(where: { $0.isLetter || $0.isNumber || $0 == "[" })
        else { return nil }
        isSecure = scheme == "https"
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = port
        self.text = whole
        self.path = path
        hasQueryOrFragment = text.contains { $0 == "?" || $0 == "#" }
    }

    /// What a request says as `Host`: the port only where it is not the scheme's own (RFC 9110, 7.2).
    var authority: String {
        port == (isSecure ? 443 : 80) ? bracketedHost : "\(bracketedHost):\(port)"
    }

    /// The host as URLs write it: an IPv6 address in brackets.
    var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }

    /// Visible ASCII without the delimiters that a URL never has.
    private static func isURLByte(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte && !"\"<>\\^`{|}".utf8.contains(byte)
    }

    /// Copies of what libcurl's parser finds. Its handle lives only within the initializer.
    private struct Parts {
        let whole, scheme, host, port, path: String?

        init?(_ text: String) {
            guard let handle = unsafe curl_url() else { return nil }
            defer { unsafe curl_url_cleanup(handle) }
            guard unsafe curl_url_set(handle, CURLUPART_URL, text, UInt32(CURLU_PATH_AS_IS)) == CURLUE_OK else {
                return nil
            }
            func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String? {
                var value: UnsafeMutablePointer<CChar>?
                guard unsafe curl_url_get(handle, part, &value, UInt32(flags)) == CURLUE_OK, let value = unsafe value
                else { return nil }
                defer { unsafe curl_free(value) }
                return unsafe String(cString: value)
            }
            whole = part(CURLUPART_URL)
            scheme = part(CURLUPART_SCHEME)
            host = part(CURLUPART_HOST)
            port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT)
            path = part(CURLUPART_PATH)
        }
    }
}
