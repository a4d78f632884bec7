/// Responses of our own, all of them JSON.
enum JSONResponse {
    static func make(status: Int, _ value: some Encodable, headers: [HTTPHeader] = []) -> HTTPResponse {
        let body = JSON.encode(value)
        let fields = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader("Content-Length", String(body.count)),
            // No cache on the way may keep the response: the next one may differ.
            HTTPHeader("Cache-Control", "no-store"),
        ]
        return HTTPResponse(head: HTTPResponseHead(status: status, headers: fields + headers), body: body)
    }
}
