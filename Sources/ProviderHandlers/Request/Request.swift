/// A request as nginx passed it on, its body aside.
public struct Request: Sendable {
    public var method: String
    public var path: String
    /// Without the question mark; empty when there is none.
    public var query: String
    /// Body length in bytes; nil when the client sent it chunked and nginx passes it on unbuffered.
    public var contentLength: Int?
    /// Whether Content-Length is not a number.
    public var isMalformed = false
    /// What names this request in both logs: nginx's `$request_id`, or one of our own.
    public var id: String
    public var contentType: String
    /// The coding of the body (RFC 9110, 8.4); empty when there is none.
    public var contentEncoding: String
    public var accept: String
    public var userAgent: String
    /// Value of the configured HMAC header, several of them joined with ", "; empty when absent.
    public var hmac: String
    /// Whether nginx asks for the machine's status: its parameter PROVIDER_STATUS is `on`, which no client's header can set.
    public var isForStatus = false

    public init(
        method: String, path: String, query: String = "", contentLength: Int? = 0, id: String = "",
        contentType: String = "", contentEncoding: String = "", accept: String = "", userAgent: String = "",
        hmac: String = ""
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.contentLength = contentLength
        self.id = id
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.accept = accept
        self.userAgent = userAgent
        self.hmac = hmac
    }

    /// Takes CGI's `CONTENT_LENGTH`: empty, or decimal digits (RFC 3875, 4.1.2).
    ///
    /// nginx passes on nothing else; another peer might, and a body without a certain end is refused.
    public mutating func setContentLength(_ text: String) {
        let isNumber = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        isMalformed = !isNumber
        // A number too large for an Int is too large for any limit as well.
        contentLength = text.isEmpty || !isNumber ? nil : Int(text) ?? .max
    }
}
