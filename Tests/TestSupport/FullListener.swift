import Foundation

/// A listening socket whose queue is full, so that connecting to it gets no answer at all (listen(2)).
public final class FullListener: Sendable {
    private let descriptor: Int32
    private let waiting: [SocketConnection]
    private let port: Int

    public init() throws {
        (descriptor, port) = try listenOnLoopback(backlog: 0)
        // Linux queues one more than the backlog.
        waiting = [try SocketConnection(port: port)]
    }

    deinit {
        close(descriptor)
    }

    public var url: String { "http://127.0.0.1:\(port)" }
}

/// A listening socket on a port the kernel chooses.
func listenOnLoopback(backlog: Int32) throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = loopback(port: 0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, size) == 0 && listen(descriptor, backlog) == 0
                && getsockname(descriptor, $0, &size) == 0
        }
    }
    guard isListening else { throw SocketError("listen") }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}
