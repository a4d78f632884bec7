/// The URL of a service, to which paths are appended.
enum BaseURL {
    static let expectation = "an http:// or https:// URL with a host, without user, query or fragment"

    /// The URL without its trailing slashes; nil when it is not as expected.
    static func normalized(_ text: String) -> String? {
        guard let url = ParsedURL(text), !url.hasQueryOrFragment else { return nil }
        var normalized = url.text
        while normalized.hasSuffix("/") { normalized.removeLast() }
        return normalized
    }

    /// What a request to a URL, as `normalized` returns it, says as `Host`.
    static func host(of url: String) -> String { ParsedURL(url)?.authority ?? "" }

    /// The host of a URL, as `normalized` returns it, without port and brackets.
    static func hostName(of url: String) -> String { ParsedURL(url)?.host ?? "" }
}

/// Finds base URLs that already end with a part of the paths appended to them, as other clients want them.
enum BaseURLPath {
    /// Words of the paths that engines, the central system and tunnels know below `/v1` and `/api`.
    private static let endpoints: Set = [
        "chat", "completions", "models", "embeddings", "generate", "tags", "provider", "health", "validate_hmac",
        "tunnels",
    ]

    /// For each base URL, a path appended to it and the program that sends the request.
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

    /// A warning for each URL that ends in `/v1` or `/api`, or in an endpoint below them. It shows the URL that will be
    /// asked, and the URL to write instead.
    static func warnings(_ configuration: Configuration) -> [String] {
        requests(configuration).compactMap { request in
            guard let base = base(of: request.url) else { return nil }
            let end = request.url.dropFirst(base.count)
            return """
                \(request.key) ends in \(end): \(request.who) will ask \(request.url)\(request.path); write \(base) instead
                """
        }
    }

    /// The URL without its superfluous end; nil for a URL without a superfluous end.
    ///
    /// - Parameter url: in the form that `BaseURL.normalized` returns.
    static func base(of url: String) -> String? {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        // The first part is host and port.
        let parts = url[scheme.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        let words = parts.dropFirst().map { $0.lowercased() }
        let kept = words.lastIndex { !isPrefix($0) && !endpoints.contains($0) && !$0.isEmpty }.map { $0 + 1 } ?? 0
        guard let first = words[kept...].firstIndex(where: isPrefix) else { return nil }
        // A double slash before it goes as well.
        var base = url[..<scheme.upperBound] + parts[...first].joined(separator: "/")
        while base.hasSuffix("/") { base.removeLast() }
        return String(base)
    }

    private static func isPrefix(_ word: String) -> Bool { word == "v1" || word == "api" }
}
