import FoundationEssentials
public import Logging

/// The public URLs of this machine; an unknown URL is empty.
struct PublicURLs: Sendable, Equatable {
    var ngrok = ""
    /// nil where the configuration does not mention Cloudflare's tunnel.
    var cloudflare: String?
}

/// Finds the public URLs of this machine: in the configuration, else by asking the tunnels' own programs.
public final class Tunnel: Sendable {
    private static let maxResponseBytes = 1024 * 1024

    private let http: HTTPClient
    private let ngrok: Configuration.Ngrok
    private let cloudflare: Configuration.Cloudflare
    private let logger: Logger
    private let state = Locked(State())

    private struct State {
        var last = PublicURLs()
        /// The logged problems, by the program that has them.
        var warned: [String: Warning] = [:]
    }

    public init(
        http: HTTPClient, ngrok: Configuration.Ngrok, cloudflare: Configuration.Cloudflare, logger: Logger
    ) {
        self.http = http
        self.ngrok = ngrok
        self.cloudflare = cloudflare
        self.logger = logger
    }

    /// Asks the programs for the URLs that are not configured. Logs why a URL is empty when the reason changes.
    ///
    /// - Parameter limit: for each program.
    func urls(within limit: Duration) -> PublicURLs {
        var urls = PublicURLs(ngrok: ngrok.url)
        if ngrok.url.isEmpty {
            // With Cloudflare's tunnel an agent is not needed.
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

    /// Why the last `urls` left a URL empty, a line each; `harmful` leaves out programs that are not needed here.
    var problems: (all: [String], harmful: [String], areAbsences: Bool) {
        let warned = state.withLock { $0.warned }
        let texts = { (warned: [String: Warning]) in warned.map { "\($0)\($1.problem.text)" }.sorted() }
        return (
            texts(warned), texts(warned.filter { !$0.value.isHarmless }), warned.values.allSatisfy(\.problem.isAbsence)
        )
    }

    /// The last result of `urls`, or the configured URLs; sends no request.
    var lastKnown: PublicURLs {
        var urls = state.withLock { $0.last }
        if !ngrok.url.isEmpty { urls.ngrok = ngrok.url }
        if cloudflare.isUsed { urls.cloudflare = cloudflare.url.isEmpty ? urls.cloudflare ?? "" : cloudflare.url }
        return urls
    }
}

extension Tunnel {
    /// Why a program gave no URL.
    private enum Problem: Error {
        case transfer(HTTPError)
        /// Completes a sentence that starts with the program's name.
        case unusable(String)

        var text: String {
            switch self {
            case .transfer(let error): ": \(ForeignText.short("\(error)"))"
            case .unusable(let words): " \(words)"
            }
        }

        /// Whether no program responded.
        var isAbsence: Bool {
            switch self {
            case .transfer(.unreachable), .transfer(.timedOut): true
            case .transfer, .unusable: false
            }
        }

        /// The text of a failed transfer differs each time, since it has a duration.
        func isLike(_ other: Problem) -> Bool {
            switch (self, other) {
            case (.transfer(.unreachable), .transfer(.unreachable)), (.transfer(.timedOut), .transfer(.timedOut)): true
            case (.transfer, .transfer): isAbsence == other.isAbsence
            case (.unusable(let words), .unusable(let others)): words == others
            default: false
            }
        }
    }

    private struct Warning {
        var problem: Problem
        /// Whether the program may be missing, and is.
        var isHarmless: Bool
    }

    private func told(
        by program: String, mayBeMissing: Bool, _ ask: () throws(Problem) -> String
    ) -> String {
        do throws(Problem) {
            let url = try ask()
            state.withLock { $0.warned[program] = nil }
            return url
        } catch {
            let warning = Warning(problem: error, isHarmless: mayBeMissing && error.isAbsence)
            let isNews = state.withLock { state in
                defer { state.warned[program] = warning }
                return state.warned[program]?.problem.isLike(error) != true
            }
            if isNews {
                logger.log(
                    level: warning.isHarmless ? .debug : .warning, "no public URL to report: \(program)\(error.text)")
            }
            return ""
        }
    }

    private func askNgrok(_ limit: Duration) throws(Problem) -> String {
        guard let tunnels = NgrokTunnels(try fetch(ngrok.api + "/api/tunnels", limit)) else {
            throw .unusable("responded with something other than a list of tunnels")
        }
        switch tunnels.choice(name: ngrok.tunnel, port: ngrok.port) {
        case .url(let url): return url
        case .none(let reason): throw .unusable(reason)
        }
    }

    private func askCloudflared(_ limit: Duration) throws(Problem) -> String {
        switch QuickTunnel(try fetch(cloudflare.metrics + "/quicktunnel", limit)) {
        case .url(let url): return url
        case .none(let reason): throw .unusable(reason)
        }
    }

    private func fetch(_ url: String, _ limit: Duration) throws(Problem) -> [UInt8] {
        let headers = [HTTPHeader("Accept", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        let request = HTTPRequest(
            .get, url, headers: headers, timeouts: HTTPTimeouts(connect: limit, total: limit))
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try http.fetch(request, maxBodyBytes: Self.maxResponseBytes)
        } catch {
            throw .transfer(error)
        }
        guard response.head.status == 200 else { throw .unusable("responded with \(response.head.status)") }
        return response.body
    }
}

/// A quick tunnel of cloudflared. Its metrics server responds to `GET /quicktunnel` with
/// `{"hostname":"….trycloudflare.com"}`; the name is empty for other kinds of tunnels (cloudflared, metrics/metrics.go).
enum QuickTunnel: Equatable {
    case url(String)
    /// Completes "cloudflared …".
    case none(String)

    init(_ body: [UInt8]) {
        struct Response: Decodable { let hostname: String }
        guard let response = try? JSONDecoder().decode(Response.self, from: Data(body)) else {
            self = .none("responded without the name of a tunnel")
            return
        }
        guard !response.hostname.isEmpty else {
            self = .none("runs no quick tunnel: set cloudflare.url to the tunnel's URL")
            return
        }
        self =
            PublicURL.https(host: response.hostname).map { .url($0) }
            ?? .none("responded with a tunnel name that is not a host name")
    }
}

/// Checks public URLs from other programs: malformed text goes neither into a report nor unchanged into the log.
enum PublicURL {
    /// Far above any real URL (bytes).
    private static let maxLength = 1024

    /// The URL in the form that `BaseURL.normalized` returns; nil for any other than an https base URL.
    static func https(_ text: String) -> String? {
        guard text.utf8.count <= maxLength, let url = BaseURL.normalized(text), url.hasPrefix("https://") else {
            return nil
        }
        return url
    }

    /// `https://` and the host; nil for anything but a DNS name of at least two labels (RFC 1035, 2.3.1; RFC 1123, 2.1).
    static func https(host: String) -> String? {
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard host.utf8.count <= 253, labels.count >= 2, labels.allSatisfy(isLabel) else { return nil }
        // A last label of digits alone would make it an address.
        guard labels[labels.count - 1].utf8.contains(where: isLetter) else { return nil }
        return "https://" + host
    }

    private static func isLabel(_ label: Substring) -> Bool {
        1...63 ~= label.utf8.count && !label.hasPrefix("-") && !label.hasSuffix("-")
            && label.utf8.allSatisfy { isLetter($0) || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == 0x2D }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte.asciiLowercased
    }
}
