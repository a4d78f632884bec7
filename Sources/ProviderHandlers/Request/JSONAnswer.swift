/// Answers of our own, all of them JSON.
enum JSONAnswer {
    static func make(
        status: Int, _ value: some Encodable, headers: [HTTPHeader] = []
    ) -> (head: HTTPResponseHead, body: [UInt8]) {
        let body = JSON.encode(value)
        let fields = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader("Content-Length", String(body.count)),
            // Whatever stands between us and the client, the answer of a moment is not the answer of the next.
            HTTPHeader("Cache-Control", "no-store"),
        ]
        return (HTTPResponseHead(status: status, headers: fields + headers), body)
    }
}
