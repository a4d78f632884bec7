/// Builds a response head from the lines libcurl hands out one by one.
///
/// Interim answers (1xx) are passed over; lines after the head (trailers) are dropped.
struct HeadParser {
    private var status = 0
    private var headers: [HTTPHeader] = []
    private var isComplete = false

    /// Takes one line with its line end; returns the head when the line completes it.
    mutating func add(_ line: RawSpan) -> HTTPResponseHead? {
        guard !isComplete else { return nil }
        let text = Self.trimmed(line)
        if text.hasPrefix("HTTP/") {
            // "HTTP/1.1 200 OK": libcurl has already refused anything else.
            status = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            headers = []
            return nil
        }
        if text.isEmpty {
            guard status >= 200 else { return nil }
            isComplete = true
            return HTTPResponseHead(status: status, headers: headers)
        }
        if let colon = text.firstIndex(of: ":"), colon != text.startIndex {
            let value = text[text.index(after: colon)...]
            headers.append(HTTPHeader(String(text[..<colon]), String(value.drop { $0 == " " || $0 == "\t" })))
        }
        return nil
    }

    /// The line without its end and without control characters, which could end a header early further on.
    private static func trimmed(_ line: RawSpan) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.byteCount)
        for index in 0..<line.byteCount {
            let byte = unsafe line.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
            if byte >= 0x20 && byte != 0x7F || byte == 0x09 { bytes.append(byte) }
        }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
