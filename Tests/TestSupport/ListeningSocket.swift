import Foundation

/// A reserved TCP port of 127.0.0.1, which refuses connections while nobody listens.
///
/// A socket that is bound but does not listen holds it. The reservation and the listening sockets have SO_REUSEADDR: they
/// share the port while at most one of them listens (socket(7)).
public final class PortReservation: Sendable {
    public let port: Int
    private let descriptor: CInt

    public init() throws {
        (descriptor, port) = try bound(to: 0, isShared: true)
    }

    deinit { close(descriptor) }
}

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

    /// - Parameter address: in place of 127.0.0.1, for tests that other addresses are refused.
    public convenience init(address: String) throws {
        try self.init(backlog: 128, address: address)
    }

    /// - Parameter reservation: the owner of the port; nil for a new port.
    init(backlog: CInt, on reservation: PortReservation? = nil, address: String = "127.0.0.1") throws {
        (descriptor, port) = try bound(to: reservation?.port ?? 0, of: address, isShared: reservation != nil)
        guard listen(descriptor, backlog) == 0 else { throw SocketError("listen") }
    }

    /// What it is called in /proc/PID/fd of each process that has it.
    var name: String {
        var information = stat()
        fstat(descriptor, &information)
        return "socket:[\(information.st_ino)]"
    }

    deinit { close(descriptor) }
}

private func bound(to port: Int, of host: String = "127.0.0.1", isShared: Bool) throws -> (descriptor: CInt, port: Int)
{
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var on: CInt = isShared ? 1 : 0
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
    var address = loopback(port: port)
    address.sin_addr.s_addr = inet_addr(host)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            bind(descriptor, address, size) == 0 && getsockname(descriptor, address, &size) == 0
        }
    }
    guard isBound else {
        let error = SocketError("bind to \(host):\(port)")
        close(descriptor)
        throw error
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}
