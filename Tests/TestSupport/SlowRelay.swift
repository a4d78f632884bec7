import Foundation
import Synchronization

/// Passes connections on to a server, and returns its bytes slowly.
public final class SlowRelay: Sendable {
    private let socket: ListeningSocket
    private let target: Int
    private let beforeAll: Duration
    private let beforeEachByte: Duration
    private let accepted = Mutex<[SocketConnection]>([])

    /// - Parameters:
    ///   - target: the server's port.
    ///   - beforeAll: what passes until the first of its bytes comes.
    ///   - beforeEachByte: what passes before each; zero to pass them on as they come.
    public init(to target: Int, beforeAll: Duration = .zero, beforeEachByte: Duration = .zero) throws {
        self.target = target
        self.beforeAll = beforeAll
        self.beforeEachByte = beforeEachByte
        socket = try ListeningSocket()
        let listener = socket
        Thread.detachNewThread { [weak self] in
            // Ends when the relay goes, which shuts the socket down.
            while case let connection = accept(listener.descriptor, nil, nil), connection >= 0 {
                let connection = SocketConnection(connection)
                guard let self else { return }
                accepted.withLock { $0.append(connection) }
                Thread.detachNewThread { [self] in try? pass(connection) }
            }
        }
    }

    deinit {
        shutdown(socket.descriptor, CInt(SHUT_RDWR))
        for connection in accepted.withLock({ $0 }) { connection.shutDown() }
    }

    public var port: Int { socket.port }

    /// Connections so far.
    public var connectionCount: Int { accepted.withLock { $0.count } }

    private func pass(_ client: SocketConnection) throws {
        let server = try SocketConnection(port: target)
        Thread.detachNewThread {
            // Either end is the end of both.
            while let bytes = try? client.read(), !bytes.isEmpty, (try? server.send(bytes)) != nil {}
            server.shutDown()
        }
        defer { client.shutDown() }
        var hasBegun = false
        while case let bytes = try server.read(), !bytes.isEmpty {
            if !hasBegun { usleep(beforeAll.inMicroseconds) }
            hasBegun = true
            guard beforeEachByte > .zero else {
                try client.send(bytes)
                continue
            }
            for byte in bytes {
                usleep(beforeEachByte.inMicroseconds)
                try client.send([byte])
            }
        }
    }
}

extension Duration {
    fileprivate var inMicroseconds: UInt32 { UInt32(self / .microseconds(1)) }
}
