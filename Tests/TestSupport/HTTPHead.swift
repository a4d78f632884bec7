/// Start line and header fields of a message, as read from a socket.
public struct HTTPHead: Sendable {
    public let startLine: String
    public let fields: [(name: String, value: String)]

    /// Nil when the connection ends before one begins.
    init?(_ connection: SocketConnection) throws {
        guard let line = try connection.readLine() else { return nil }
        startLine = line
        var fields: [(String, String)] = []
        while let line = try connection.readLine(), !line.isEmpty {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields.append((String(parts[0]), parts.count > 1 ? parts[1].trimming() : ""))
        }
        self.fields = fields
    }

    /// The first value of a field; names compare without regard to case.
    public subscript(name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// How the body after this head is delimited.
    func body(of connection: SocketConnection, isRequest: Bool) -> HTTPBody {
        if self["Transfer-Encoding"]?.lowercased() == "chunked" { return HTTPBody(connection, .chunked) }
        if let length = self["Content-Length"].flatMap({ Int($0) }) { return HTTPBody(connection, .length(length)) }
        return HTTPBody(connection, isRequest ? .length(0) : .untilEnd)
    }
}

/// A message body, read piece by piece as it arrives.
public final class HTTPBody {
    enum Framing {
        case length(Int)
        case chunked
        case untilEnd
        case done
    }

    private let connection: SocketConnection
    private var framing: Framing

    init(_ connection: SocketConnection, _ framing: Framing) {
        self.connection = connection
        self.framing = framing
    }

    /// The next piece; empty at the end. A chunk comes as the sender framed it.
    ///
    /// - Throws: when the connection ends before the body does.
    public func next() throws -> [UInt8] {
        switch framing {
        case .done:
            return []
        case .untilEnd:
            return try connection.read()
        case .length(0):
            framing = .done
            return []
        case .length(let rest):
            let piece = try connection.read(upTo: rest)
            guard !piece.isEmpty else { throw NeverHappened(description: "the body ended \(rest) bytes early") }
            framing = .length(rest - piece.count)
            return piece
        case .chunked:
            guard let line = try connection.readLine(), let size = Int(line, radix: 16) else {
                throw NeverHappened(description: "the body ended without its last chunk")
            }
            let chunk = try connection.read(exactly: size)
            _ = try connection.readLine()
            if size == 0 { framing = .done }
            return chunk
        }
    }

    public func all() throws -> [UInt8] {
        var result: [UInt8] = []
        while case let piece = try next(), !piece.isEmpty { result += piece }
        return result
    }

    /// Reads to the end and keeps only the count.
    public func count() throws -> Int {
        var result = 0
        while case let piece = try next(), !piece.isEmpty { result += piece.count }
        return result
    }
}

extension Substring {
    fileprivate func trimming() -> String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
