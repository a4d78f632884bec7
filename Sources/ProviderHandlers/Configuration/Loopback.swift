import Glibc

/// Which addresses no other machine reaches.
public enum Loopback {
    /// Whether a host is this machine by what is written: `localhost`, 127.0.0.0/8 or ::1.
    ///
    /// A name that only happens to lead here is none: whoever answers for names could change that.
    public static func contains(_ host: String) -> Bool {
        if host.equalsIgnoringCase("localhost") { return true }
        var four = in_addr()
        if unsafe inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
        var six = in6_addr()
        guard unsafe inet_pton(AF_INET6, host, &six) == 1 else { return false }
        let bytes = unsafe withUnsafeBytes(of: &six) { unsafe Array($0) }
        // ::1, and 127.0.0.0/8 in IPv6's clothes (RFC 4291, 2.5.3 and 2.5.5.2).
        return bytes == [UInt8](repeating: 0, count: 15) + [1]
            || bytes.prefix(13) == [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 127]
    }

    /// Whether a URL leads to such a host; the URL is one that `BaseURL` has let through.
    static func contains(url: String) -> Bool {
        guard let scheme = url.firstRange(of: "://") else { return false }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" }
        if authority.hasPrefix("[") { return contains(String(authority.dropFirst().prefix { $0 != "]" })) }
        return contains(String(authority.prefix { $0 != ":" }))
    }
}
