/// One header field. Names compare without regard to case (RFC 9110, 5.1).
public struct HTTPHeader: Sendable, Equatable {
    public var name: String
    /// In a response each character is one byte (ISO 8859-1), so that values of any encoding pass unchanged.
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension [HTTPHeader] {
    /// The first value of the field with this name.
    public func first(_ name: String) -> String? {
        first { $0.name.equalsIgnoringCase(name) }?.value
    }
}

extension String {
    /// ASCII comparison without regard to case, as header names need; no Unicode folding.
    func equalsIgnoringCase(_ other: String) -> Bool {
        utf8.elementsEqual(other.utf8) { $0.asciiLowercased == $1.asciiLowercased }
    }

    /// One character for each byte.
    init(latin1 bytes: some Sequence<UInt8>) {
        self.init(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    /// One byte for each character; `?` for a character outside ISO 8859-1.
    public var latin1: [UInt8] {
        unicodeScalars.map { UInt8(exactly: $0.value) ?? UInt8(ascii: "?") }
    }
}

extension UInt8 {
    var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}

/// A request to the engine, to the central system or to the tunnel's agent.
public struct HTTPRequest: Sendable {
    public enum Method: Sendable {
        case get
        case post
    }

    public enum Body: Sendable {
        case none
        /// Sent together with the head, and again on a fresh connection when a kept one turns out to be dead.
        case bytes([UInt8])
        /// Read from the handler while it is sent; chunked when the length (bytes) is unknown.
        case stream(length: Int?)
    }

    public var method: Method
    public var url: String
    public var headers: [HTTPHeader]
    public var body: Body
    public var timeouts: HTTPTimeouts

    public init(
        _ method: Method, _ url: String, headers: [HTTPHeader] = [], body: Body = .none, timeouts: HTTPTimeouts
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
    }
}

/// Limits of one transfer. A nil limit does not apply.
public struct HTTPTimeouts: Sendable {
    public var connect: Duration
    /// From the last byte sent to the first byte of the response.
    public var firstByte: Duration?
    /// Between two pieces of the response.
    public var idle: Duration?
    /// The whole transfer.
    public var total: Duration?

    public init(connect: Duration, firstByte: Duration? = nil, idle: Duration? = nil, total: Duration? = nil) {
        self.connect = connect
        self.firstByte = firstByte
        self.idle = idle
        self.total = total
    }
}

/// Status and header fields of a response.
public struct HTTPResponseHead: Sendable, Equatable {
    public var status: Int
    public var headers: [HTTPHeader]

    public init(status: Int, headers: [HTTPHeader] = []) {
        self.status = status
        self.headers = headers
    }

    /// What the fields take on the wire, line ends included (bytes).
    var size: Int {
        headers.reduce(0) { $0 + $1.name.unicodeScalars.count + $1.value.unicodeScalars.count + 4 }
    }
}

/// A whole response.
public struct HTTPResponse: Sendable {
    public var head: HTTPResponseHead
    public var body: [UInt8]
    /// What the response's Retry-After asks for, a date as well, between none and a day. A value that is neither seconds
    /// nor a date asks for no pause. nil without the field.
    public var retryAfter: Duration?
}

/// Why a transfer failed. Messages name hosts and causes, never header values or bodies.
public enum HTTPError: Error, Sendable, Equatable {
    /// No connection: refused, not resolved, TLS failed.
    case unreachable(String)
    /// One of the request's limits passed; the text names which.
    case timedOut(String)
    /// The connection broke or the response is not HTTP.
    case broken(String)
    /// A buffered response grew past its bound (bytes).
    case tooLarge(limit: Int)
}

extension HTTPError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let cause): "cannot connect: \(cause)"
        case .timedOut(let limit): "\(limit) time-out"
        case .broken(let cause): cause
        case .tooLarge(let limit): "response larger than \(limit) bytes"
        }
    }
}
