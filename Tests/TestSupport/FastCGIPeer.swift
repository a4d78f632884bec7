/// Takes nginx's place, for requests that nginx would never send (FastCGI Specification 1.0).
public final class FastCGIPeer {
    public let connection: SocketConnection

    /// Connects and begins a request as a responder.
    public init(_ path: String, keepsConnection: Bool = false, parameters: [(String, String)]) throws {
        connection = try SocketConnection(path: path)
        try begin(keepsConnection: keepsConnection, parameters: parameters)
    }

    public func begin(keepsConnection: Bool = false, parameters: [(String, String)]) throws {
        try send(1, [0, 1, keepsConnection ? 1 : 0, 0, 0, 0, 0, 0])
        var encoded: [UInt8] = []
        for (name, value) in parameters {
            encoded += [UInt8(name.utf8.count), UInt8(value.utf8.count)] + Array(name.utf8) + Array(value.utf8)
        }
        try send(4, encoded)
        try send(4, [])
    }

    /// A piece of the body; an empty one ends it.
    public func send(body: String) throws {
        try send(5, Array(body.utf8))
    }

    /// The worker's whole output, up to the end of the connection.
    public func output() throws -> String {
        var output: [UInt8] = []
        while true {
            let first = try connection.read(upTo: 1)
            guard let version = first.first else { return String(decoding: output, as: UTF8.self) }
            let header = [version] + (try connection.read(exactly: 7))
            let content = try connection.read(exactly: Int(header[4]) << 8 | Int(header[5]))
            _ = try connection.read(exactly: Int(header[6]))
            if header[1] == 6 { output += content }
        }
    }

    private func send(_ type: UInt8, _ content: [UInt8]) throws {
        let length = content.count
        try connection.send([1, type, 0, 1, UInt8(length >> 8), UInt8(length & 0xFF), 0, 0] + content)
    }
}
