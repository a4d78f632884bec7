/// Finds base URLs that end with a part of what is appended to them, as people copy them from other clients.
enum BaseURLPath {
    /// Words of the paths that engines, the central system and tunnels know below `/v1` and `/api`.
    private static let endpoints: Set = [
        "chat", "completions", "models", "embeddings", "generate", "tags", "provider", "health", "validate_hmac",
        "tunnels",
    ]

    /// What is asked below each base URL, and by whom.
    private static func requests(_ configuration: Configuration) -> [(
        key: String, url: String, who: String, path: String
    )] {
        [
            ("ollama.url", configuration.ollama.url, "the worker", "/v1/chat/completions"),
            ("provider.url", configuration.provider.url, "the reporter", "/api/provider/health"),
            ("ngrok.url", configuration.ngrok.url, "the central system", "/v1/chat/completions"),
            ("cloudflare.url", configuration.cloudflare.url, "the central system", "/v1/chat/completions"),
            ("ngrok.api", configuration.ngrok.api, "the reporter", "/api/tunnels"),
        ]
    }

    /// A warning for each URL that ends in `/v1` or `/api`, perhaps with an endpoint behind it: what will be asked, and
    /// what to write instead.
    static func warnings(_ configuration: Configuration) -> [String] {
        requests(configuration).compactMap { request in
            guard let base = base(of: request.url) else { return nil }
            let end = request.url.dropFirst(base.count)
            return """
                \(request.key) ends in \(end): \(request.who) will ask \(request.url)\(request.path); write \(base) instead
                """
        }
    }

    /// The URL without the end that does not belong there; nil for one without such an end.
    ///
    /// - Parameter url: as `BaseURL.normalized` has made it.
    static func base(of url: String) -> String? {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        // The first is host and port.
        let parts = url[scheme.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        let words = parts.dropFirst().map { $0.lowercased() }
        let kept = words.lastIndex { !isPrefix($0) && !endpoints.contains($0) && !$0.isEmpty }.map { $0 + 1 } ?? 0
        guard let first = words[kept...].firstIndex(where: isPrefix) else { return nil }
        // A slash doubled before it goes as well.
        var base = url[..<scheme.upperBound] + parts[...first].joined(separator: "/")
        while base.hasSuffix("/") { base.removeLast() }
        return String(base)
    }

    private static func isPrefix(_ word: String) -> Bool { word == "v1" || word == "api" }
}
