/// Builds a response head from the lines libcurl hands out one by one.
///
/// Interim responses (1xx) are passed over; lines after the head (trailers) are dropped. nginx refuses a whole response for
/// an invalid name, a blank before the colon or a folded line (RFC 9112, 5). All three are repaired or dropped.
struct HeadParser {
    private var status = 0
    private var headers: [HTTPHeader] = []
    private var isComplete = false
    /// Whether a folded line continues the last header; false after a dropped header.
    private var canContinue = false

    /// Takes one line with its line end; returns the head when the line completes it.
    mutating func add(_ line: RawSpan) -> HTTPResponseHead? {
        guard !isComplete else { return nil }
        let text = Self.printable(line)
        if text.starts(with: "HTTP/".utf8) {
            // "HTTP/1.1 200 OK": libcurl has already refused anything else.
            let status = text.split(separator: 0x20).dropFirst().first.flatMap {
                Int(String(decoding: $0, as: UTF8.self))
            }
            (self.status, headers, canContinue) = (status ?? 0, [], false)
            return nil
        }
        if text.trimmed.isEmpty {
            guard status >= 200 else { return nil }
            isComplete = true
            return HTTPResponseHead(status: status, headers: headers)
        }
        if text[0].isBlank {
            if canContinue { headers[headers.count - 1].value += " " + String(latin1: text.trimmed) }
        } else {
            addField(text)
        }
        return nil
    }

    private mutating func addField(_ line: [UInt8]) {
        canContinue = false
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let name = line[..<colon].trimmed
        guard !name.isEmpty, name.allSatisfy(\.isTokenByte) else { return }
        headers.append(HTTPHeader(String(latin1: name), String(latin1: line[(colon + 1)...].trimmed)))
        canContinue = true
    }

    /// The line without control characters, which could end a header early further on.
    private static func printable(_ line: RawSpan) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(line.byteCount)
        for index in 0..<line.byteCount {
            let byte = unsafe line.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
            if byte.isFieldByte { bytes.append(byte) }
        }
        return bytes
    }
}

extension Collection<UInt8> {
    /// Without blanks at either end.
    fileprivate var trimmed: ArraySlice<UInt8> {
        var rest = Array(drop(while: \.isBlank))[...]
        while let last = rest.last, last.isBlank { rest.removeLast() }
        return rest
    }
}

extension UInt8 {
    fileprivate var isBlank: Bool { self == 0x20 || self == 0x09 }

    /// Whether a header field's value may hold it (RFC 9110, 5.5).
    var isFieldByte: Bool { self >= 0x20 && self != 0x7F || self == 0x09 }

    /// Whether a token, such as a header field's name, may hold it (RFC 9110, 5.6.2).
    fileprivate var isTokenByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(self)
        }
    }
}
