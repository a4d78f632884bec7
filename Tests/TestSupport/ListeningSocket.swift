import Foundation

/// A TCP socket that listens on 127.0.0.1, on a port the kernel chose; for handing over to a program.
///
/// The port is the program's from the first moment: chosen beforehand and released, it could be taken by another
/// test's connection.
public final class ListeningSocket: Sendable {
    public let descriptor: CInt
    public let port: Int

    public convenience init() throws {
        try self.init(backlog: 128)
    }

    /// - Parameter address: in place of 127.0.0.1, for a test that such a socket is refused.
    public convenience init(address: String) throws {
        try self.init(backlog: 128, address: address)
    }

    init(backlog: CInt, address text: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = loopback(port: 0)
        address.sin_addr.s_addr = inet_addr(text)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && listen(descriptor, backlog) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard isListening else { throw SocketError("listen") }
    }

    deinit { close(descriptor) }
}
