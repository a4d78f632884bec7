/// Whether the public URL is known, and what responds there.
struct TunnelCheck: Sendable {
    private static let agentLimit = Duration.seconds(2)
    private static let publicLimit = Duration.seconds(5)
    private static let start = "start the tunnel's agent, or set ngrok.url or cloudflare.url"

    struct PublicSite: Sendable, Equatable {
        var url: String
        var reply: SiteReply
        /// Whether a program on this machine says that the URL leads here.
        var isTold = false
    }

    /// Each known URL.
    var sites: [PublicSite]
    /// Why a URL is not known. If another URL is known, a missing program that is not needed is no reason.
    var problems: [String] = []
    /// Whether the only problem is that no tunnel's program runs, and none is configured.
    var hasNoTunnel = false

    static func look(_ configuration: Configuration, _ http: HTTPClient, _ log: QuietLog) -> Self {
        let tunnel = Tunnel(
            http: http, ngrok: configuration.ngrok, cloudflare: configuration.cloudflare, logger: log.logger)
        let known = tunnel.urls(within: agentLimit)
        let told = [
            configuration.ngrok.url.isEmpty ? known.ngrok : "",
            configuration.cloudflare.url.isEmpty ? known.cloudflare ?? "" : "",
        ]
        // Today's platform wants ngrok's URL in cloudflare.url as well.
        let urls = [known.ngrok, known.cloudflare ?? ""].reduce(into: [String]()) { urls, url in
            if !url.isEmpty && !urls.contains(url) { urls.append(url) }
        }
        let problems = tunnel.problems
        let isConfigured = configuration.cloudflare.isUsed || !configuration.ngrok.tunnel.isEmpty
        // A proxy to the Internet holds for these as well.
        let outside = HTTPClient(proxied: true)
        return Self(
            sites: urls.map { url in
                PublicSite(
                    url: url, reply: SiteReply.look(url, outside, total: publicLimit), isTold: told.contains(url))
            },
            problems: urls.isEmpty ? problems.all : problems.harmful,
            hasNoTunnel: urls.isEmpty && !isConfigured && problems.areAbsences)
    }

    // MARK: The judgement

    /// - Parameters:
    ///   - site: what responds at the local site.
    ///   - failed: the check that failed on the way from nginx to the worker; nil when none did.
    func findings(_ site: SiteReply?, failed: CheckCode?) -> [Finding] {
        guard !hasNoTunnel else {
            return [
                .skip(.tunnelAgent, "no tunnel is configured, and no agent runs"), .skip(.tunnelPublic, "no tunnel"),
            ]
        }
        guard !sites.isEmpty else {
            return [
                .warn(
                    .tunnelAgent, "no public URL is known: " + problems.joined(separator: "; "),
                    fix: Self.start),
                .skip(.tunnelPublic, "no public URL is known"),
            ]
        }
        let shown = sites.map { "\($0.url), \($0.isTold ? "by the tunnel's agent" : "as configured")" }
            .joined(separator: "; ")
        let agent =
            problems.isEmpty
            ? Finding.ok(.tunnelAgent, shown)
            : .warn(
                .tunnelAgent, "\(shown); another URL is not known: " + problems.joined(separator: "; "), fix: Self.start
            )
        if let failed { return [agent, .skip(.tunnelPublic, because: failed)] }
        let judged = sites.map { judge($0, site) }
        return [agent, judged.first(where: \.isFailure) ?? judged.first { $0.status == .warn } ?? judged[0]]
    }

    /// The GPUs' UUIDs tell machines apart. Without UUIDs the agent's word counts: it runs here and forwards here. A request
    /// through the tunnel leaves no trace that an ordinary user could read, so nothing else would be proof.
    private func judge(_ site: PublicSite, _ local: SiteReply?) -> Finding {
        let restart = "restart the tunnel's agent, or correct ngrok.url or cloudflare.url"
        switch site.reply.kind {
        case .failed(let error): return .fail(.tunnelPublic, "\(site.url): \(error)", fix: restart)
        case .other(let words):
            return .fail(.tunnelPublic, "\(site.url) leads elsewhere: \(words)", fix: restart)
        case .nginx(let code):
            return .warn(
                .tunnelPublic, "\(site.url) reports \(code), so the machine behind it is unknown",
                fix: "try again")
        case .worker: break
        }
        guard let there = site.reply.view, let here = local?.view else {
            return .warn(
                .tunnelPublic, "\(site.url) is a provider client, which tells no details", fix: "try again")
        }
        if !there.uuids.isEmpty || !here.uuids.isEmpty {
            guard there.uuids == here.uuids else {
                return .fail(
                    .tunnelPublic, "\(site.url) leads to another machine: it reports other GPUs", fix: restart)
            }
            return .ok(.tunnelPublic, "\(site.url) leads to this machine: it reports the same GPUs")
        }
        guard there.models == here.models else {
            return .fail(
                .tunnelPublic, "\(site.url) leads to another machine: it reports other models", fix: restart)
        }
        if site.isTold {
            return .ok(.tunnelPublic, "\(site.url) responds as this machine, whose agent owns the URL")
        }
        if here.gpuTrouble != nil {
            return .skip(.tunnelPublic, "not told apart from other machines, because the GPUs are not known")
        }
        return .warn(
            .tunnelPublic,
            """
            \(site.url) is a provider client with the same models and without GPUs; whether it is this machine cannot be \
            told
            """,
            fix: "leave the URL empty where the tunnel's agent runs on this machine")
    }
}
