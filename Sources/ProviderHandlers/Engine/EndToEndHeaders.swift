/// The meaning of an engine's response head, and the fields that go on to the client.
enum EndToEndHeaders {
    /// Fields of a single connection (RFC 9110, 7.6.1), the length and `X-Request-Id`, which the worker sets, and `Status`,
    /// FastCGI's name for the status.
    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "status", "x-request-id",
    ]

    static func filtered(_ head: HTTPResponseHead) -> HTTPResponseHead {
        let named = elements(of: "Connection", head)
        return HTTPResponseHead(
            status: head.status,
            headers: head.headers.filter { header in
                let name = header.name.lowercased()
                return !dropped.contains(name)
                    && !named.contains(name)
                    // nginx obeys these fields (X-Accel-Redirect serves any internal location): the engine must not
                    // set them.
                    && !name.hasPrefix("x-accel-")
            })
    }

    /// Whether the response is a stream of server-sent events.
    static func isEventStream(_ head: HTTPResponseHead) -> Bool { mediaType(head) == "text/event-stream" }

    /// Whether the response says that its body is JSON; without any type, whether the body begins as a JSON object or array.
    static func isJSON(_ head: HTTPResponseHead, _ body: [UInt8]) -> Bool {
        guard let type = mediaType(head) else {
            let first = body.first { !" \t\r\n".utf8.contains($0) }
            return first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        }
        return type == "application/json" || type.hasSuffix("+json")
    }

    /// Whether the body is compressed or otherwise coded (RFC 9110, 8.4). The worker can neither read nor extend an encoded
    /// body.
    static func isCoded(_ head: HTTPResponseHead) -> Bool {
        elements(of: "Content-Encoding", head).contains { $0 != "identity" }
    }

    /// Whether a length or chunks tell where the response ends, rather than the end of the connection.
    ///
    /// Chunks do so as the last transfer coding alone, and a length only without any transfer coding (RFC 9112, 6.3).
    static func isDelimited(_ head: HTTPResponseHead) -> Bool {
        let codings = elements(of: "Transfer-Encoding", head)
        return codings.isEmpty ? head.headers.first("Content-Length") != nil : codings.last == "chunked"
    }

    private static func mediaType(_ head: HTTPResponseHead) -> String? {
        let type = head.headers.first("Content-Type")?.split(separator: ";", maxSplits: 1).first
        return type?.filter { $0 != " " }.lowercased()
    }

    /// The elements of a list, of all fields with the name (RFC 9110, 5.6.1), without empty ones.
    private static func elements(of name: String, _ head: HTTPResponseHead) -> [String] {
        head.headers.filter { $0.name.equalsIgnoringCase(name) }
            .flatMap { $0.value.split(separator: ",") }
            .map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            .filter { !$0.isEmpty }
    }
}
