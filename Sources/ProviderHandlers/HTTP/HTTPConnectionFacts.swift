import CCurl
import Glibc

/// What a transfer tells of its connection besides the response.
struct HTTPConnectionFacts: Sendable, Equatable {
    /// Whether the connection was made, and TLS on it failed. A handshake without an end is a time-out of the connection.
    var hasFailedInTLS = false
    /// When the server's certificate expires (Unix time); nil without TLS.
    var certificateEnd: Int?
}

/// Dates as HTTP and OpenSSL write them.
enum HTTPDate {
    /// Unix time; nil for a text that is no date.
    static func time(_ text: String) -> Int? {
        let time = unsafe curl_getdate(text, nil)
        return time < 0 ? nil : Int(time)
    }
}
