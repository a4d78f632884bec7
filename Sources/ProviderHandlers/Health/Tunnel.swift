public import Logging

/// The public URLs of this machine, empty where one is not known.
struct PublicURLs: Sendable, Equatable {
    var ngrok = ""
    /// nil where the configuration does not mention Cloudflare's tunnel.
    var cloudflare: String?
}

/// Finds the public URLs of this machine: in the configuration, else by asking the tunnels' own programs.
public final class Tunnel: Sendable {
    private static let maxAnswerBytes = 1024 * 1024

    private let http: HTTPClient
    private let ngrok: Configuration.Ngrok
    private let cloudflare: Configuration.Cloudflare
    private let logger: Logger
    private let state = Locked(State())

    private struct State {
        var last = PublicURLs()
        /// The problems that the log has been told of, by the program that has them.
        var warned: [String: Problem] = [:]
    }

    public init(
        http: HTTPClient, ngrok: Configuration.Ngrok, cloudflare: Configuration.Cloudflare, logger: Logger
    ) {
        self.http = http
        self.ngrok = ngrok
        self.cloudflare = cloudflare
        self.logger = logger
    }

    /// Asks each program that has to be asked; why a URL is empty is logged when that changes.
    ///
    /// - Parameter limit: for each program.
    func urls(within limit: Duration) -> PublicURLs {
        var urls = PublicURLs(ngrok: ngrok.url)
        if ngrok.url.isEmpty {
            // With another tunnel there need not be an agent.
            urls.ngrok = told(by: "ngrok agent at \(ngrok.api)", mayBeMissing: cloudflare.isUsed) {
                () throws(Problem) in try askNgrok(limit)
            }
        }
        if !cloudflare.url.isEmpty {
            urls.cloudflare = cloudflare.url
        } else if !cloudflare.metrics.isEmpty {
            urls.cloudflare = told(by: "cloudflared at \(cloudflare.metrics)", mayBeMissing: false) {
                () throws(Problem) in try askCloudflared(limit)
            }
        }
        state.withLock { $0.last = urls }
        return urls
    }

    /// What `urls` has returned last, or what is configured; asks nobody.
    var lastKnown: PublicURLs {
        var urls = state.withLock { $0.last }
        if !ngrok.url.isEmpty { urls.ngrok = ngrok.url }
        if cloudflare.isUsed { urls.cloudflare = cloudflare.url.isEmpty ? urls.cloudflare ?? "" : cloudflare.url }
        return urls
    }
}

extension Tunnel {
    /// Why a program has told no URL.
    private enum Problem: Error {
        case transfer(HTTPError)
        /// Completes the program's name to a sentence.
        case answer(String)

        var text: String {
            switch self {
            case .transfer(let error): ": \(Found.foreign("\(error)"))"
            case .answer(let words): " \(words)"
            }
        }

        /// Whether no program has answered.
        var isAbsence: Bool {
            switch self {
            case .transfer(.unreachable), .transfer(.timedOut): true
            case .transfer, .answer: false
            }
        }

        /// The words of a failed transfer differ each time, by how long it took.
        func isLike(_ other: Problem) -> Bool {
            switch (self, other) {
            case (.transfer(.unreachable), .transfer(.unreachable)), (.transfer(.timedOut), .transfer(.timedOut)): true
            case (.transfer, .transfer): isAbsence == other.isAbsence
            case (.answer(let words), .answer(let others)): words == others
            default: false
            }
        }
    }

    private func told(
        by program: String, mayBeMissing: Bool, _ ask: () throws(Problem) -> String
    ) -> String {
        do throws(Problem) {
            let url = try ask()
            state.withLock { $0.warned[program] = nil }
            return url
        } catch {
            let isNews = state.withLock { state in
                defer { state.warned[program] = error }
                return state.warned[program]?.isLike(error) != true
            }
            if isNews {
                let level: Logger.Level = mayBeMissing && error.isAbsence ? .debug : .warning
                logger.log(level: level, "no public URL to report: \(program)\(error.text)")
            }
            return ""
        }
    }

    private func askNgrok(_ limit: Duration) throws(Problem) -> String {
        guard let tunnels = NgrokTunnels(try fetch(ngrok.api + "/api/tunnels", limit)) else {
            throw .answer("answered with something that is no list of tunnels")
        }
        switch tunnels.choice(name: ngrok.tunnel, port: ngrok.port) {
        case .url(let url): return url
        case .none(let reason): throw .answer(reason)
        }
    }

    private func askCloudflared(_ limit: Duration) throws(Problem) -> String {
        switch QuickTunnel(try fetch(cloudflare.metrics + "/quicktunnel", limit)) {
        case .url(let url): return url
        case .none(let reason): throw .answer(reason)
        }
    }

    private func fetch(_ url: String, _ limit: Duration) throws(Problem) -> [UInt8] {
        let headers = [HTTPHeader("Accept", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        let request = HTTPRequest(
            .get, url, headers: headers, timeouts: HTTPTimeouts(connect: limit, total: limit))
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try http.fetch(request, maxBodyBytes: Self.maxAnswerBytes)
        } catch {
            throw .transfer(error)
        }
        guard response.head.status == 200 else { throw .answer("answered \(response.head.status)") }
        return response.body
    }
}
