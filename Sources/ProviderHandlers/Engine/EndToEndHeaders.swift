/// Which header fields of an engine's answer go on to the client.
enum EndToEndHeaders {
    /// Fields that mean one connection only (RFC 9110, 7.6.1), the length, which is ours to say, and `Status`, by which
    /// FastCGI names the status.
    private static let dropped: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "status",
    ]

    static func filtered(_ head: HTTPResponseHead) -> HTTPResponseHead {
        let named = head.headers.filter { $0.name.equalsIgnoringCase("Connection") }
            .flatMap { $0.value.split(separator: ",") }
            .map { String($0.filter { $0 != " " }) }
        return HTTPResponseHead(
            status: head.status,
            headers: head.headers.filter { header in
                let name = header.name.lowercased()
                return !dropped.contains(name)
                    && !named.contains { $0.equalsIgnoringCase(name) }
                    // nginx obeys these (X-Accel-Redirect serves any internal location); they are not the engine's
                    // to give.
                    && !name.hasPrefix("x-accel-")
            })
    }

    /// Whether the answer is a stream of server-sent events.
    static func isEventStream(_ head: HTTPResponseHead) -> Bool {
        guard let type = head.headers.first("Content-Type") else { return false }
        let name = type.split(separator: ";", maxSplits: 1).first ?? ""
        return name.filter { $0 != " " }.lowercased() == "text/event-stream"
    }

    /// Whether a length or chunks tell where the answer ends, rather than the end of the connection.
    static func isDelimited(_ head: HTTPResponseHead) -> Bool {
        head.headers.first("Content-Length") != nil || head.headers.first("Transfer-Encoding") != nil
    }
}
