import Glibc

/// Addresses that other machines cannot reach.
public enum Loopback {
    /// Whether a host is `localhost` or an address in 127.0.0.0/8 or ::1.
    ///
    /// Another name that resolves to loopback does not count: DNS could change that.
    public static func contains(_ host: String) -> Bool {
        if host.equalsIgnoringCase("localhost") { return true }
        var four = in_addr()
        if unsafe inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
        var six = in6_addr()
        guard unsafe inet_pton(AF_INET6, host, &six) == 1 else { return false }
        let bytes = unsafe withUnsafeBytes(of: &six) { unsafe Array($0) }
        // ::1, and IPv4-mapped 127.0.0.0/8 (RFC 4291, 2.5.3 and 2.5.5.2).
        return bytes == [UInt8](repeating: 0, count: 15) + [1]
            || bytes.prefix(13) == [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 127]
    }

    /// Whether a URL, in the form that `BaseURL.normalized` returns, leads to this machine.
    static func contains(url: String) -> Bool { contains(BaseURL.hostName(of: url)) }
}
