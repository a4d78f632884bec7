import Glibc

/// Which addresses no other machine reaches.
public enum Loopback {
    /// Whether a host is this machine by what is written: `localhost`, 127.0.0.0/8 or ::1.
    ///
    /// A name that resolves to loopback does not count: its DNS server could change that.
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

    /// Whether a URL leads to such a host; the URL is one that `BaseURL` has let through.
    static func contains(url: String) -> Bool { contains(BaseURL.hostName(of: url)) }

    /// Whether connections are accepted at 127.0.0.1 or [::1]; asks the kernel, and waits for 0.2 s at most.
    static func isListening(_ host: String, port: Int) -> Bool {
        let isIPv6 = host == "[::1]"
        let descriptor = socket(
            isIPv6 ? AF_INET6 : AF_INET,
            CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0, let port = UInt16(exactly: port) else { return false }
        defer { close(descriptor) }
        let code: CInt
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            code = connect(descriptor, &address)
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
            code = connect(descriptor, &address)
        }
        if code == 0 { return true }
        guard errno == EINPROGRESS else { return false }
        var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard unsafe poll(&polled, 1, 200) > 0 else { return false }
        return polled.revents & Int16(POLLERR) == 0
    }

    private static func connect<Address>(_ descriptor: CInt, _ address: inout Address) -> CInt {
        unsafe withUnsafeBytes(of: &address) { bytes in
            unsafe Glibc.connect(
                descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }
}
