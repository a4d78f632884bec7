/// Which machines can reach the endpoints through nginx, according to its files.
///
/// With `provider.hmac: optional` these machines can use the GPU.
public enum NginxSites {
    /// Where nginx's files are.
    public static let defaultDirectory = "/etc/nginx"

    public enum Finding: Equatable, Sendable {
        /// No server in nginx's files leads to the worker's socket: the files may be elsewhere.
        case unknown
        /// Only this machine can reach the endpoints, or nginx authenticates clients.
        case closed
        /// Other machines can reach them. Each element names an address with its file and line.
        case open([String])
    }

    /// Reads nginx's files as they are now; leaves out unreadable files.
    public static func look(_ server: Configuration.Server, directory: String = defaultDirectory) -> Finding {
        judge(NginxTree.read(directory: directory), server)
    }

    /// - Parameter directives: all of nginx's configuration, with included files in place.
    static func judge(_ directives: [NginxDirective], _ server: Configuration.Server) -> Finding {
        let all = NginxDirective.all(in: directives)
        let targets = NginxTree.targets(of: server, in: all)
        let sites = all.filter { site in
            // An upstream's server has no block.
            site.name == "server"
                && NginxDirective.all(in: site.block).contains {
                    $0.name == "fastcgi_pass" && targets.contains($0.words.dropFirst().first ?? "")
                }
        }
        guard !sites.isEmpty else { return .unknown }
        let open = sites.filter { !asksWhoItIs($0) }.flatMap(publicAddresses)
        return open.isEmpty ? .closed : .open(open)
    }

    /// Whether the server has a directive that refuses some clients. Which clients it refuses is not judged here.
    private static func asksWhoItIs(_ site: NginxDirective) -> Bool {
        NginxDirective.all(in: site.block).contains { directive in
            switch directive.name {
            case "deny", "auth_request", "auth_jwt": true
            case "auth_basic": directive.words.dropFirst().first != "off"
            case "ssl_verify_client": directive.words.dropFirst().first == "on"
            default: false
            }
        }
    }

    private static func publicAddresses(_ site: NginxDirective) -> [String] {
        let listens = site.block.filter { $0.name == "listen" }
        // nginx's default (ngx_http_core_module, listen); an ordinary user's is port 8000.
        if listens.isEmpty { return ["*:80 (\(site.place))"] }
        return listens.compactMap { listen in
            guard let address = listen.words.dropFirst().first, isPublic(address) else { return nil }
            return "\(ForeignText.printable(address)) (\(listen.place))"
        }
    }

    /// `8080`, `*:8080`, `127.0.0.1:8080`, `127.0.0.1:8080-8090`, `127.0.0.1`, `[::1]:8080`, `localhost`, `unix:PATH`.
    private static func isPublic(_ address: String) -> Bool {
        if address.hasPrefix("unix:") { return false }
        // A URL has no range of ports (nginx 1.15.10 and later): the first port stands for all.
        let port = address.lastIndex(of: ":") ?? address.endIndex
        let address = address[..<port] + address[port...].prefix { $0 != "-" }
        // A port alone reads as an address below 0.1.0.0, which is not loopback.
        return !(ParsedURL("http://" + address).map { Loopback.contains($0.host) } ?? false)
    }
}

extension NginxSites {
    /// A warning for `provider.hmac: optional` where nginx's files show that other machines can reach the endpoints; nil
    /// otherwise.
    public static func warning(_ configuration: Configuration, directory: String = defaultDirectory) -> String? {
        guard configuration.provider.hmac == .optional,
            case .open(let addresses) = look(configuration.server, directory: directory)
        else { return nil }
        return """
            provider.hmac is optional, and nginx listens on \(addresses.joined(separator: ", ")), which other machines can \
            reach: anyone there can use the GPU without an HMAC; set provider.hmac to required
            """
    }

    /// For the log at each start with `provider.hmac: optional`: nginx's files do not mention a tunnel.
    public static let openDoor = """
        provider.hmac is optional: anyone who can reach nginx can use the GPU without an HMAC; where nginx is on a public \
        port, set provider.hmac to required
        """
}
