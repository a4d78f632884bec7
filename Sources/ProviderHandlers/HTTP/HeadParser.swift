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
        if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon != text.startIndex {
            let value = text[text.index(after: colon)...]
            headers.append(HTTPHeader(String(text[..<colon]), String(value.drop { $0 == " " || $0 == "\t" })))
        }
        return nil
    }

    /// The line without its end and without control characters, which could end a header early further on.
    private static func trimmed(_ line: RawSpan) -> String {
        unsafe line.withUnsafeBytes { buffer in
            var text = unsafe buffer[...]
            while let last = unsafe text.last, last <= 0x20 { unsafe text = text.dropLast() }
            if unsafe text.allSatisfy(isFieldByte) { return unsafe String(decoding: text, as: UTF8.self) }
            var bytes = unsafe text.filter(isFieldByte)
            while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static func isFieldByte(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }
}
