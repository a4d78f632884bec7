import Glibc

/// Whether nginx, with handoff (`ollama.forward: nginx`), forwards to the engine that `ollama.url` names.
///
/// The worker lists the engine's models, and nginx sends it the completions: two files name one engine.
public enum NginxUpstream {
    /// Where nginx/provider-upstream.conf is installed.
    public static let defaultPath = "/etc/nginx/conf.d/provider-upstream.conf"
    /// The name of the upstream in that file.
    private static let name = "provider_engine"
    /// Far above any real file (bytes).
    private static let sizeLimit = 65_536

    public enum Finding: Equatable, Sendable {
        case agrees
        /// The text names a possible problem: the default file cannot be read, or it works with some engines only.
        case unknown(String)
        case disagrees(String)
    }

    /// Compares the configuration with nginx's file.
    ///
    /// - Parameter path: the file that an operator names, which has to be readable; nil for `defaultPath`, which may be
    ///   missing.
    public static func check(_ configuration: Configuration, path: String?) -> Finding {
        guard configuration.ollama.forward == .nginx else { return .agrees }
        let place = path ?? defaultPath
        let text: String
        do throws(UnreadableFile) {
            text = String(decoding: try BoundedFile(place, limit: sizeLimit).bytes, as: UTF8.self)
        } catch {
            let problem = "ollama.forward is nginx, and \(ForeignText.printable(place)) cannot be read: \(error.reason)"
            return path == nil ? .unknown(problem) : .disagrees(problem)
        }
        let finding = compare(
            configuration.ollama.url, text, place: ForeignText.printable(place), isListening: isListening)
        guard finding == .agrees else { return finding }
        if let problem = handoffProblem(beside: place) { return .unknown(problem) }
        return .agrees
    }

    /// The problem of an older handoff file beside the upstream's file: nginx sends its own Host, which Ollama refuses. Newer
    /// files send the host of `ollama.url`.
    private static func handoffProblem(beside place: String) -> String? {
        let parts = place.split(separator: "/", omittingEmptySubsequences: false)
        let handoff = (parts.dropLast(2) + ["snippets", "provider-handoff.conf"]).joined(separator: "/")
        guard parts.count > 2, let file = try? BoundedFile(handoff, limit: sizeLimit) else { return nil }
        let directives = directives(in: String(decoding: file.bytes, as: UTF8.self))
        guard !directives.contains(where: { $0.words.starts(with: ["proxy_set_header", "Host"]) }) else { return nil }
        return """
            \(ForeignText.printable(handoff)): sets no Host, so the engine is asked for "\(name)", which Ollama refuses with 403; install \
            the current nginx/provider-handoff.conf
            """
    }

    /// - Parameters:
    ///   - text: the contents of nginx's file.
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
        for server in servers where Address(server)?.leads(to: engine) != true {
            return .disagrees("\(place): nginx forwards to \(Found.value(server)), but ollama.url is \(url)")
        }
        for address in servers.compactMap({ Address($0) }) where engine.host == "localhost" {
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

    /// Whether 127.0.0.1 or [::1] accepts connections; blocks for 0.2 s at most.
    static func isListening(_ host: String, port: Int) -> Bool {
        let isIPv6 = host == "[::1]"
        let descriptor = socket(
            isIPv6 ? AF_INET6 : AF_INET,
            CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0, let port = UInt16(exactly: port) else { return false }
        defer { close(descriptor) }
        let code: CInt
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            code = connect(descriptor, to: &address)
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
            code = connect(descriptor, to: &address)
        }
        if code == 0 { return true }
        guard errno == EINPROGRESS else { return false }
        var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard unsafe poll(&polled, 1, 200) > 0 else { return false }
        return polled.revents & Int16(POLLERR) == 0
    }

    /// Host and port, however they are written.
    private struct Address {
        let host: String
        let port: Int

        /// `host`, `host:port`, `[::1]:port`; both nginx and URLs take 80 where no port is given.
        init?(_ text: String) {
            self.init(url: "http://" + text)
        }

        /// nil for a URL with TLS or a path, which nginx's location does not support.
        init?(url: String) {
            guard let url = ParsedURL(url), !url.isSecure, url.path == "/", !url.hasQueryOrFragment else { return nil }
            host = url.bracketedHost.lowercased()
            port = url.port
        }

        /// Whether both can mean one engine. `localhost` is 127.0.0.1 or [::1], which are different addresses.
        func leads(to other: Self) -> Bool {
            guard port == other.port else { return false }
            return host == other.host || host == "localhost" && other.otherLoopback != nil
                || other.host == "localhost" && otherLoopback != nil
        }

        /// For an address of `localhost`, its other address; nil for any other host.
        var otherLoopback: String? { ["127.0.0.1": "[::1]", "[::1]": "127.0.0.1"][host] }
    }
}
