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
        /// The default file cannot be read, so nothing is known; the text says why.
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
        return compare(configuration.ollama.url, text, place: Found.printable(place))
    }

    /// - Parameter text: what nginx's file says.
    static func compare(_ url: String, _ text: String, place: String) -> Finding {
        guard let engine = Address(url: url) else {
            return .disagrees(
                "ollama.url: with ollama.forward nginx expected http://HOST:PORT, found \(Found.value(url))")
        }
        let servers = servers(in: text)
        guard !servers.isEmpty else { return .disagrees("\(place): there is no server in an upstream \(name)") }
        for server in servers where Address(server) != engine {
            return .disagrees("\(place): nginx forwards to \(Found.value(server)), but ollama.url is \(url)")
        }
        return .agrees
    }

    /// The addresses of the upstream's servers.
    private static func servers(in text: String) -> [String] {
        let code = text.split(whereSeparator: \.isNewline).map { $0.prefix { $0 != "#" } }.joined(separator: " ")
        // Directives end with a semicolon, blocks begin and end with a brace.
        let directives = code.split { "{};".contains($0) }.map { $0.split(whereSeparator: \.isWhitespace) }
        guard let start = directives.firstIndex(where: { $0.count == 2 && $0[0] == "upstream" && $0[1] == name }) else {
            return []
        }
        return directives[(start + 1)...].prefix { $0.first != "upstream" }
            .filter { $0.count >= 2 && $0[0] == "server" }
            .map { $0[1].filter { $0 != "\"" && $0 != "'" } }
    }

    /// Host and port, without regard to how they are written.
    private struct Address: Equatable {
        let host: String
        let port: Int

        /// `host`, `host:port`, `[::1]:port`; both nginx and URLs take 80 where no port is given.
        init(_ text: String) {
            let end = text.hasPrefix("[") ? text.firstIndex(of: "]") ?? text.startIndex : text.startIndex
            let colon = text[end...].lastIndex(of: ":") ?? text.endIndex
            let written = text[..<colon].lowercased()
            host = ["localhost", "127.0.0.1", "[::1]"].contains(written) ? "localhost" : written
            port = colon == text.endIndex ? 80 : Int(text[text.index(after: colon)...]) ?? -1
        }

        /// nil for a URL that nginx's location does not serve: with TLS or a path.
        init?(url: String) {
            let scheme = "http://"
            guard url.hasPrefix(scheme), !url.dropFirst(scheme.count).contains("/") else { return nil }
            self.init(String(url.dropFirst(scheme.count)))
        }
    }
}
