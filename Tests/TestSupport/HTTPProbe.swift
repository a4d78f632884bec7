/// A client that sends one request on a new connection and sees the response as it arrives.
public final class HTTPProbe: Sendable {
    public let connection: SocketConnection

    /// Connects and sends the head. `body` follows with its length, unless `declaring` says another one; nil sends a
    /// head without any length.
    public init(
        port: Int, _ method: String, _ target: String, headers: [String] = [], body: String? = nil,
        declaring length: Int? = nil
    ) throws {
        connection = try SocketConnection(port: port)
        var head = ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        if let length = length ?? body?.utf8.count { head.append("Content-Length: \(length)") }
        try connection.send(head.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
    }

    /// Waits for the head of the response.
    public func response() throws -> HTTPProbeResponse {
        guard let head = try HTTPHead(connection) else { throw NeverHappened(description: "no response") }
        return HTTPProbeResponse(head: head, body: head.body(of: connection, isRequest: false))
    }

    /// A whole exchange.
    public static func fetch(
        port: Int, _ method: String, _ target: String, headers: [String] = [], body: String? = nil
    ) throws -> (status: Int, head: HTTPHead, body: String) {
        let probe = try HTTPProbe(port: port, method, target, headers: headers, body: body)
        let response = try probe.response()
        let text = method == "HEAD" ? "" : String(decoding: try response.body.all(), as: UTF8.self)
        return (response.status, response.head, text)
    }
}

/// A response with an unread body.
public struct HTTPProbeResponse {
    public let head: HTTPHead
    public let body: HTTPBody

    public var status: Int { Int(head.startLine.split(separator: " ")[1]) ?? 0 }
}
