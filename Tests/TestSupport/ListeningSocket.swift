import Foundation

/// A TCP socket that listens on 127.0.0.1, on a port the kernel chose; for handing over to a program.
///
/// The port is the program's from the first moment: chosen beforehand and released, it could be taken by another
/// test's connection.
public final class ListeningSocket: Sendable {
    public let descriptor: CInt
    public let port: Int

    public init() throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && listen(descriptor, 128) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard isListening else { throw Self.failure }
    }

    deinit { close(descriptor) }

    private static var failure: POSIXError { POSIXError(POSIXError.Code(rawValue: errno) ?? .EIO) }
}
