public import Glibc

/// Calls `body` with the address of a Unix socket (unix(7)). A path that does not fit is cut; callers check before.
public func withUnixAddress<Result>(
    _ path: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.prefix($0.count)) }
    // The exact size: with an abstract name every byte counts.
    let size = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
    return unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, size) }
    }
}
