/// A listening socket with a full queue: connecting to it gets no response at all (listen(2)).
public final class FullListener: Sendable {
    private let socket: ListeningSocket
    private let waiting: SocketConnection

    public init() throws {
        socket = try ListeningSocket(backlog: 0)
        // Linux queues one more than the backlog.
        waiting = try SocketConnection(port: socket.port)
    }

    public var url: String { "http://127.0.0.1:\(socket.port)" }
}
