import FoundationEssentials
public import Logging

/// Finds the public URL of this machine.
public final class Tunnel: Sendable {
    private static let maxAnswerBytes = 1024 * 1024

    private let http: HTTPClient
    private let configuration: Configuration.Ngrok
    private let logger: Logger
    private let state = Locked(State())

    private struct State {
        var hasWarned = false
        var last = ""
    }

    public init(http: HTTPClient, ngrok: Configuration.Ngrok, logger: Logger) {
        self.http = http
        configuration = ngrok
        self.logger = logger
    }

    /// The configured URL, else that of the agent's https tunnel, else empty; why it is empty is logged once.
    func url(within limit: Duration) -> String {
        guard configuration.url.isEmpty else { return configuration.url }
        do throws(HTTPError) {
            let url = try ask(limit)
            state.withLock { $0 = State(hasWarned: false, last: url) }
            return url
        } catch {
            let isNews = state.withLock { state in
                defer { state = State(hasWarned: true, last: "") }
                return !state.hasWarned
            }
            if isNews { logger.warning("no public URL to report: ngrok agent at \(configuration.api): \(error)") }
            return ""
        }
    }

    /// What `url` has returned last, or the configured one; asks nobody.
    var lastKnown: String { configuration.url.isEmpty ? state.withLock { $0.last } : configuration.url }

    /// The agent's local API: GET /api/tunnels lists each tunnel with its `public_url` and `proto`
    /// (ngrok, "Agent API").
    private func ask(_ limit: Duration) throws(HTTPError) -> String {
        let response = try http.fetch(
            HTTPRequest(
                .get, configuration.api + "/api/tunnels", headers: [HTTPHeader("Accept", "application/json")],
                timeouts: HTTPTimeouts(connect: limit, total: limit)),
            maxBodyBytes: Self.maxAnswerBytes)
        guard response.head.status == 200 else { throw .broken("answered \(response.head.status)") }
        return try Self.url(in: response.body)
    }

    /// The https tunnel's URL in the agent's answer.
    static func url(in body: [UInt8]) throws(HTTPError) -> String {
        struct Answer: Decodable {
            struct Entry: Decodable {
                let publicURL: String
                enum CodingKeys: String, CodingKey { case publicURL = "public_url" }
            }
            let tunnels: [Entry]
        }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)) else {
            throw .broken("answered with something that is no list of tunnels")
        }
        guard let tunnel = answer.tunnels.first(where: { $0.publicURL.hasPrefix("https://") }) else {
            throw .broken("has no https tunnel")
        }
        return tunnel.publicURL
    }
}
