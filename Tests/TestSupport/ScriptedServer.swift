import Foundation
import Synchronization

/// An HTTP server under the test's control, to the byte: the engine and the central system of the tests.
///
/// Each connection has its own thread; the script runs once for each request on it and may block.
public final class ScriptedServer: Sendable {
    public typealias Script = @Sendable (ScriptedRequest) throws -> Void

    private let reservation: PortReservation
    private let script: Script
    private let record = Mutex(Record())

    private struct Record {
        var socket: ListeningSocket?
        var connections: [SocketConnection] = []
        var requests: [String] = []
    }

    /// Listens on a port the kernel chooses.
    public init(_ script: @escaping Script) throws {
        self.script = script
        reservation = try PortReservation()
        try start()
    }

    deinit {
        stop()
    }

    public var port: Int { reservation.port }
    public var url: String { "http://127.0.0.1:\(port)" }

    /// Connections accepted so far.
    public var connectionCount: Int { record.withLock { $0.connections.count } }

    /// Start lines of the requests received so far.
    public var requests: [String] { record.withLock { $0.requests } }

    /// Listens, on the same port again after `stop`.
    public func start() throws {
        let socket = try ListeningSocket(backlog: 1024, on: reservation)
        record.withLock { $0.socket = socket }
        Thread.detachNewThread { [weak self] in
            // Ends when `stop` shuts the socket down.
            while case let connection = accept(socket.descriptor, nil, nil), connection >= 0 {
                let connection = SocketConnection(connection)
                guard let self else { return }
                record.withLock { $0.connections.append(connection) }
                Thread.detachNewThread { [weak self] in self?.serve(connection) }
            }
        }
    }

    /// Refuses new connections and closes existing connections.
    public func stop() {
        let (socket, connections) = record.withLock { record in
            defer { record.socket = nil }
            return (record.socket, record.connections)
        }
        if let socket { shutdown(socket.descriptor, Int32(SHUT_RDWR)) }
        for connection in connections { connection.shutDown() }
    }

    private func serve(_ connection: SocketConnection) {
        // What a script throws is a connection that ended under it, which some tests are about.
        defer { connection.close() }
        while let head = try? HTTPHead(connection) {
            record.withLock { $0.requests.append(head.startLine) }
            let request = ScriptedRequest(head, connection)
            guard (try? script(request)) != nil, request.isReusable else { return }
        }
    }
}

/// One request as the server received it, and the means to respond.
public final class ScriptedRequest {
    public let head: HTTPHead
    public let body: HTTPBody
    public let connection: SocketConnection
    fileprivate var isReusable = true

    fileprivate init(_ head: HTTPHead, _ connection: SocketConnection) {
        self.head = head
        self.connection = connection
        body = head.body(of: connection, isRequest: true)
    }

    public var method: String { String(head.startLine.split(separator: " ")[0]) }
    public var target: String { String(head.startLine.split(separator: " ")[1]) }

    public func bodyText() throws -> String { String(decoding: try body.all(), as: UTF8.self) }

    /// A complete response.
    public func respond(
        _ status: Int, _ text: String, type: String = "application/json", headers: [String] = []
    ) throws {
        _ = try body.all()
        try connection.send(
            (["HTTP/1.1 \(status) Status", "Content-Type: \(type)", "Content-Length: \(text.utf8.count)"] + headers)
                .joined(separator: "\r\n") + "\r\n\r\n" + text)
    }

    /// The head of a chunked stream of server-sent events.
    public func startStream(headers: [String] = []) throws {
        _ = try body.all()
        try connection.send(
            (["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"] + headers)
                .joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// A whole stream of tokens; after each it waits for the gate.
    public func stream(_ tokens: [String], pausingAt gate: Gate) throws {
        try startStream()
        for token in tokens {
            try event(token)
            try gate.wait()
        }
        try event("[DONE]")
        try endStream()
    }

    /// One event of a stream, as a separate chunk.
    public func event(_ data: String) throws {
        try chunk("data: \(data)\n\n")
    }

    public func chunk(_ text: String) throws {
        try connection.send(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
    }

    public func endStream() throws {
        try connection.send("0\r\n\r\n")
    }

    /// Closes the connection as soon as the script returns.
    public func closeAfterwards() {
        isReusable = false
    }
}
