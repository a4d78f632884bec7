import Glibc

/// The URL of a service, to which paths are appended.
enum BaseURL {
    static let expectation = "an http:// or https:// URL with a host, without user, query or fragment"

    /// The URL without its trailing slashes; nil when it is not as expected (RFC 3986, section 3).
    static func normalized(_ text: String) -> String? {
        guard text.utf8.allSatisfy(isURLByte) else { return nil }
        let lowercased = text.lowercased()
        guard let scheme = ["http://", "https://"].first(where: { lowercased.hasPrefix($0) }) else { return nil }
        let afterScheme = text.dropFirst(scheme.count)
        let authority = afterScheme.prefix { $0 != "/" }
        guard isAuthority(authority) else { return nil }
        var url = scheme + afterScheme
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    /// What a request to a URL, as `normalized` returns it, says as `Host`: the port only where it is not the scheme's own
    /// (RFC 9110, 7.2).
    static func host(of url: String) -> String {
        let (scheme, port) = url.hasPrefix("https") ? ("https://", ":443") : ("http://", ":80")
        let authority = url.dropFirst(scheme.count).prefix { $0 != "/" }
        return String(authority.hasSuffix(port) ? authority.dropLast(port.count) : authority)
    }

    /// The host of a URL, as `normalized` returns it, without port and brackets.
    static func hostName(of url: String) -> String {
        let authority = host(of: url)
        if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }

    /// Host, and perhaps a port. A user is refused: it would be sent along and logged.
    private static func isAuthority(_ authority: Substring) -> Bool {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return false }
            return isIPv6(authority[..<end].dropFirst()) && isPort(authority[end...].dropFirst())
        }
        let host = authority.prefix { $0 != ":" }
        let isName = host.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." || $0 == "_" }
        return isName && host.contains { $0.isLetter || $0.isNumber } && isPort(authority.dropFirst(host.count))
    }

    private static func isIPv6(_ host: Substring) -> Bool {
        var address = in6_addr()
        return unsafe inet_pton(AF_INET6, String(host), &address) == 1
    }

    /// Nothing, or a colon and a number.
    private static func isPort(_ text: Substring) -> Bool {
        guard let colon = text.first else { return true }
        let digits = text.dropFirst()
        guard colon == ":", digits.allSatisfy(\.isNumber), let port = Int(digits) else { return false }
        return 1...65_535 ~= port
    }

    /// What may stand in a URL up to its path: visible ASCII without what starts a query or a fragment, and without
    /// what has no place in a URL at all.
    private static func isURLByte(_ byte: UInt8) -> Bool {
        0x21...0x7E ~= byte && !"?#\"<>\\^`{|}".utf8.contains(byte)
    }
}
