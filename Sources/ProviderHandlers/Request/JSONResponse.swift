/// Responses of our own, all of them JSON.
enum JSONResponse {
    static func make(status: Int, _ value: some Encodable, headers: [HTTPHeader] = []) -> HTTPResponse {
        make(status: status, body: JSON.encode(value), headers: headers)
    }

    /// - Parameter body: JSON.
    static func make(status: Int, body: [UInt8], headers: [HTTPHeader] = []) -> HTTPResponse {
        let fields = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader("Content-Length", String(body.count)),
            // No cache on the way may keep the response: the next one may differ.
            HTTPHeader("Cache-Control", "no-store"),
        ]
        return HTTPResponse(head: HTTPResponseHead(status: status, headers: fields + headers), body: body)
    }
}
