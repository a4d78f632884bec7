import Glibc

/// Connects a socket to an address of the Internet (connect(2)).
///
/// - Parameter address: a `sockaddr_in` or `sockaddr_in6`.
/// - Returns: 0, or -1 with errno.
func connect<Address>(_ descriptor: CInt, to address: inout Address) -> CInt {
    unsafe withUnsafeBytes(of: &address) { bytes in
        unsafe Glibc.connect(
            descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
    }
}
