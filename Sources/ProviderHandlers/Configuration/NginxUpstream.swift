import Glibc

/// Whether nginx, when it forwards by itself (`ollama.forward: nginx`), asks the engine that `ollama.url` names.
///
/// The worker lists the engine's models and nginx sends it the completions: two files name one engine.
public enum NginxUpstream {
    /// Where nginx/provider-upstream.conf is installed.
    public static let defaultPath = "/etc/nginx/conf.d/provider-upstream.conf"
    /// What it calls the engine.
    private static let name = "provider_engine"
    /// Far above any real file (bytes).
    private static let sizeLimit = 65_536

    public enum Finding: Equatable, Sendable {
        case agrees
        /// Something may be wrong, and the text says what: the default file cannot be read, or what it says works with some
        /// engines only.
        case unknown(String)
        case disagrees(String)
    }

    /// Compares the configuration with nginx's file.
    ///
    /// - Parameter path: the file an operator names, which has to be readable; nil for `defaultPath`, which need not be:
    ///   nginx may have it elsewhere.
    public static func check(_ configuration: Configuration, path: String?) -> Finding {
        guard configuration.ollama.forward == .nginx else { return .agrees }
        let place = path ?? defaultPath
        let text: String
        do throws(UnreadableFile) {
            text = String(decoding: try BoundedFile(place, limit: sizeLimit).bytes, as: UTF8.self)
        } catch {
            let problem = "ollama.forward is nginx, and \(Found.printable(place)) cannot be read: \(error.reason)"
            return path == nil ? .unknown(problem) : .disagrees(problem)
        }
        let finding = compare(
            configuration.ollama.url, text, place: Found.printable(place), isListening: Loopback.isListening)
        guard finding == .agrees else { return finding }
        if let problem = handoffProblem(beside: place) { return .unknown(problem) }
        return .agrees
    }

    /// Why the other file of nginx's, where it is installed beside this one, does not serve Ollama: before it sent the host
    /// of `ollama.url` it sent a name of nginx's own.
    private static func handoffProblem(beside place: String) -> String? {
        let parts = place.split(separator: "/", omittingEmptySubsequences: false)
        let handoff = (parts.dropLast(2) + ["snippets", "provider-handoff.conf"]).joined(separator: "/")
        guard parts.count > 2, let file = try? BoundedFile(handoff, limit: sizeLimit) else { return nil }
        let directives = directives(in: String(decoding: file.bytes, as: UTF8.self))
        guard !directives.contains(where: { $0.words.starts(with: ["proxy_set_header", "Host"]) }) else { return nil }
        return """
            \(Found.printable(handoff)): sets no Host, so the engine is asked for "\(name)", which Ollama refuses with 403; install \
            the current nginx/provider-handoff.conf
            """
    }

    /// - Parameters:
    ///   - text: what nginx's file says.
    ///   - isListening: whether connections are accepted at a loopback address and port.
    static func compare(
        _ url: String, _ text: String, place: String, isListening: (String, Int) -> Bool = { _, _ in true }
    ) -> Finding {
        guard let engine = Address(url: url) else {
            return .disagrees(
                "ollama.url: with ollama.forward nginx expected http://HOST:PORT, found \(Found.value(url))")
        }
        let servers = servers(in: text)
        guard !servers.isEmpty else { return .disagrees("\(place): there is no server in an upstream \(name)") }
        for server in servers where !Address(server).leads(to: engine) {
            return .disagrees("\(place): nginx forwards to \(Found.value(server)), but ollama.url is \(url)")
        }
        for address in servers.map(Address.init) where engine.host == "localhost" {
            guard let other = address.otherLoopback, !isListening(address.host, address.port),
                isListening(other, address.port)
            else { continue }
            return .disagrees(
                """
                \(place): nginx forwards to \(address.host):\(address.port), where nothing listens, but ollama.url leads to \
                \(other):\(address.port); name that address in both
                """)
        }
        return .agrees
    }

    /// The addresses of the upstream's servers.
    private static func servers(in text: String) -> [String] {
        let upstream = directives(in: text).first { $0.words == ["upstream", name] }
        return upstream?.block.filter { $0.name == "server" }.compactMap { $0.words.dropFirst().first } ?? []
    }

    /// Each directive of a file, at any depth.
    private static func directives(in text: String) -> [NginxDirective] {
        NginxDirective.all(in: NginxDirective.parse(text, file: ""))
    }

    /// Host and port, without regard to how they are written.
    private struct Address {
        let host: String
        let port: Int

        /// `host`, `host:port`, `[::1]:port`; both nginx and URLs take 80 where no port is given.
        init(_ text: String) {
            let end = text.hasPrefix("[") ? text.firstIndex(of: "]") ?? text.startIndex : text.startIndex
            let colon = text[end...].lastIndex(of: ":") ?? text.endIndex
            host = text[..<colon].lowercased()
            port = colon == text.endIndex ? 80 : Int(text[text.index(after: colon)...]) ?? -1
        }

        /// Whether both can mean one engine. `localhost` is 127.0.0.1 or [::1], and these two are not the same.
        func leads(to other: Self) -> Bool {
            guard port == other.port else { return false }
            return host == other.host || host == "localhost" && other.otherLoopback != nil
                || other.host == "localhost" && otherLoopback != nil
        }

        /// The other address that `localhost` stands for; nil for a host that is neither of the two.
        var otherLoopback: String? { ["127.0.0.1": "[::1]", "[::1]": "127.0.0.1"][host] }

        /// nil for a URL that nginx's location does not serve: with TLS or a path.
        init?(url: String) {
            let scheme = "http://"
            guard url.hasPrefix(scheme), !url.dropFirst(scheme.count).contains("/") else { return nil }
            self.init(String(url.dropFirst(scheme.count)))
        }
    }
}
