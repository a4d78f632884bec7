import Foundation

/// A Unix socket that listens, as systemd holds one for its services; for handing over to a program.
public final class UnixListener: Sendable {
    public let descriptor: CInt
    public let path: String

    public init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let isListening = withUnsafePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(descriptor, 4096) == 0
            }
        }
        guard isListening else { throw SocketError("listen on \(path)") }
    }

    deinit { close(descriptor) }
}
