import FoundationEssentials

/// Answers of our own, all of them JSON.
enum JSONAnswer {
    static func make(
        status: Int, _ value: some Encodable, headers: [HTTPHeader] = []
    ) -> (head: HTTPResponseHead, body: [UInt8]) {
        let body = encode(value)
        let fields = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader("Content-Length", String(body.count)),
            // Whatever stands between us and the client, the answer of a moment is not the answer of the next.
            HTTPHeader("Cache-Control", "no-store"),
        ]
        return (HTTPResponseHead(status: status, headers: fields + headers), body)
    }

    /// Our own types hold only strings, booleans and integers, which always encode.
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        do {
            return try Array(encoder.encode(value))
        } catch {
            preconditionFailure("cannot encode \(type(of: value)): \(error)")
        }
    }

    /// Whether the bytes are one JSON value and nothing else (RFC 8259).
    static func isOneValue(_ bytes: [UInt8]) -> Bool {
        (try? JSONDecoder().decode(AnyValue.self, from: Data(bytes))) != nil
    }

    /// The decoder goes through the whole text before it asks for anything.
    private struct AnyValue: Decodable {
        init(from decoder: any Decoder) {}
    }
}
