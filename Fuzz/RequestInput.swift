@testable import ProviderHandlers

/// An input as a request, and the checks of the engine's view of it.
struct RequestInput {
    var request: Request
    var body: [UInt8]
    /// The number of the central system's response.
    let verdict: Int
    let isHMACRequired: Bool

    /// More than is read before the engine is asked (`RequestBody.smallLimit`).
    private static let padding = [UInt8](repeating: 0x20, count: 70_000)

    init?(_ bytes: [UInt8]) {
        guard bytes.count > 3 else { return nil }
        let parts = bytes.dropFirst(3).split(separator: 0x0A, maxSplits: 8, omittingEmptySubsequences: false)
        // As C reads the parameters.
        func text(_ index: Int) -> String {
            index < parts.count ? String(decoding: parts[index].prefix { $0 != 0 }, as: UTF8.self) : ""
        }
        let methods = ["POST", "GET", "HEAD", text(0)]
        let paths = ["/v1/chat/completions", "/v1/completions", "/busy", "/health", text(1), "/v1/completions"]
        request = Request(
            method: methods[Int(bytes[0]) % methods.count], path: paths[Int(bytes[1]) % paths.count], query: text(2),
            contentLength: nil, contentType: text(4), contentEncoding: text(6), accept: text(5), userAgent: text(6),
            hmac: text(7))
        body = parts.count > 8 ? Array(parts[8]) : []
        isHMACRequired = bytes[2] & 1 == 1
        verdict = Int(bytes[2] >> 1 & 0b11)
        if bytes[2] >> 3 & 0b111 == 0b111 { body += Self.padding }
        // The right length, whatever the body.
        request.setContentLength(text(3) == "=" ? "\(body.count)" : text(3))
    }

    func checkEngine(_ seen: WirePeer.Seen, isAllowed: Bool) {
        precondition(isAllowed, "not let in")
        precondition(request.method == "POST" && ["/v1/chat/completions", "/v1/completions"].contains(request.path))
        let line = Self.split(seen.startLine[...], at: " ")
        precondition(line.count == 3 && line[0] == "POST" && line[2] == "HTTP/1.1", "the start line")
        let target = Self.split(line[1], at: "?", maxSplits: 1)
        precondition(target[0] == request.path, "another path")
        if request.query.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x23 }) {
            precondition(target.dropFirst().first ?? "" == request.query, "another query")
        }
        // The body is complete and has the declared length. What follows a large one is not always looked at: it stays with
        // the connection, which is closed.
        let isSame = seen.body == body && request.contentLength ?? body.count == body.count
        let isBeginning = seen.body.count == request.contentLength && body.starts(with: seen.body)
        precondition((isSame || isBeginning && seen.body.count > RequestBody.smallLimit) && !request.isMalformed)
        checkFields(seen)
    }

    /// By bytes: to Swift a blank with an accent upon it is none.
    private static func split(
        _ text: Substring, at separator: Unicode.Scalar, maxSplits: Int = .max
    ) -> [Substring] {
        text.utf8.split(separator: UInt8(ascii: separator), maxSplits: maxSplits, omittingEmptySubsequences: false)
            .map(Substring.init)
    }

    private func checkFields(_ seen: WirePeer.Seen) {
        let allowed = [
            "content-type": request.contentType, "content-encoding": request.contentEncoding, "accept": request.accept,
            "accept-encoding": "identity", "user-agent": request.userAgent,
        ]
        for (name, values) in seen.fields {
            precondition(values.count == 1, name)
            switch name {
            case "host", "content-length", "transfer-encoding": break
            default: precondition(allowed[name] == values[0], name)
            }
        }
        // What is clean arrives.
        for (name, value) in allowed
        where !value.isEmpty && value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) {
            precondition(seen.fields[name] == [value], name)
        }
    }
}
