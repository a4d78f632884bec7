import Glibc
import ProviderHandlers

/// Makes the TCP socket for set-ups without a Unix socket.
enum TCPSocket {
    static func listen(on host: String, port: Int, backlog: CInt) throws(ListenError) -> CInt {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let address = unsafe found else {
            let cause = unsafe String(cString: gai_strerror(result))
            throw ListenError(description: "server.host: cannot resolve \(host): \(cause)")
        }
        defer { unsafe freeaddrinfo(address) }
        let descriptor = unsafe socket(
            address.pointee.ai_family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(host, port) }
        var on: CInt = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        guard unsafe bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
            Glibc.listen(descriptor, backlog) == 0
        else {
            let error = failure(host, port)
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func failure(_ host: String, _ port: Int) -> ListenError {
        ListenError(
            description: "server.host, server.port: cannot listen on \(host):\(port): \(systemError(errno))")
    }
}
