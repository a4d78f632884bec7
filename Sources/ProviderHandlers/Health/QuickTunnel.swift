import FoundationEssentials

/// A quick tunnel of cloudflared's: its metrics server answers `GET /quicktunnel` with `{"hostname":"….trycloudflare.com"}`,
/// and with an empty name where it runs another kind of tunnel (cloudflared, metrics/metrics.go).
enum QuickTunnel: Equatable {
    case url(String)
    /// Completes "cloudflared …".
    case none(String)

    init(_ body: [UInt8]) {
        struct Answer: Decodable { let hostname: String }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)) else {
            self = .none("answered with something that names no tunnel")
            return
        }
        guard !answer.hostname.isEmpty else {
            self = .none("runs no quick tunnel: set cloudflare.url to the tunnel's URL")
            return
        }
        self = PublicURL.https(host: answer.hostname).map { .url($0) } ?? .none("gives a name that is no host name")
    }
}
