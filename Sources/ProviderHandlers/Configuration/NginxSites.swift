import Glibc

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
        var reader = Reader(directory: directory)
        return judge(reader.directives(in: "nginx.conf"), server)
    }

    /// - Parameter directives: all of nginx's configuration, with included files in place.
    static func judge(_ directives: [NginxDirective], _ server: Configuration.Server) -> Finding {
        let all = NginxDirective.all(in: directives)
        let own = server.socket.isEmpty ? "\(server.host):\(server.port)" : "unix:\(server.socket)"
        let upstreams = all.filter { upstream in
            upstream.name == "upstream"
                && upstream.block.contains { $0.name == "server" && $0.words.dropFirst().first == own }
        }
        let targets = Set([own] + upstreams.compactMap { $0.words.dropFirst().first })
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

    /// Reads files, and the files that they include, within limits.
    private struct Reader {
        /// Far above any real configuration.
        private static let limits = (files: 1000, depth: 8, bytes: 1_048_576)

        let directory: String
        private var fileCount = 0

        init(directory: String) {
            self.directory = directory
        }

        mutating func directives(in path: String, depth: Int = 0) -> [NginxDirective] {
            // Relative paths count from the directory of nginx.conf (ngx_conf_full_name).
            let path = path.hasPrefix("/") ? path : directory + "/" + path
            guard depth < Self.limits.depth else { return [] }
            var found: [NginxDirective] = []
            for file in Self.files(matching: path) where fileCount < Self.limits.files {
                fileCount += 1
                guard let text = try? BoundedFile(file, limit: Self.limits.bytes) else { continue }
                let name = ForeignText.printable(file)
                found += including(
                    NginxDirective.parse(String(decoding: text.bytes, as: UTF8.self), file: name), depth: depth)
            }
            return found
        }

        private mutating func including(_ directives: [NginxDirective], depth: Int) -> [NginxDirective] {
            var result: [NginxDirective] = []
            for var directive in directives {
                if directive.name == "include", let path = directive.words.dropFirst().first {
                    result += self.directives(in: path, depth: depth + 1)
                } else {
                    directive.block = including(directive.block, depth: depth)
                    result.append(directive)
                }
            }
            return result
        }

        /// By glob(3), as nginx does it.
        private static func files(matching pattern: String) -> [String] {
            var result = unsafe glob_t()
            defer { unsafe globfree(&result) }
            guard unsafe glob(pattern, 0, nil, &result) == 0 else { return [] }
            return unsafe (0..<Int(result.gl_pathc)).compactMap { index in
                unsafe result.gl_pathv[index].map { unsafe String(cString: $0) }
            }
        }
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
