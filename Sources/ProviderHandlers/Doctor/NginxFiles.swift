import Glibc

/// The limits in nginx's configuration, as `nginx -T` prints it.
enum NginxFiles: Sendable, Equatable {
    /// They could not be read, and why.
    case unknown(String)
    /// nginx does not accept its configuration, and what it says.
    case invalid(String)
    /// The limits of each place with a `fastcgi_pass` to the worker: a site of the operator's may have its own.
    case limits([Limits])

    /// What holds in one place, and where it is set: in the place itself, around it, or nowhere.
    struct Limits: Sendable, Equatable {
        /// nginx's defaults (ngx_http_core_module, ngx_http_fastcgi_module).
        static let defaults = Self(body: Setting(value: 1_048_576), readTime: Setting(value: 60))

        /// Bytes; 0 is no limit.
        var body: Setting
        /// Seconds.
        var readTime: Setting
    }

    struct Setting: Sendable, Equatable {
        var value: Int
        /// File and line.
        var place = "nginx's defaults"
    }

    static func look(_ server: Configuration.Server) -> Self {
        switch OtherProgram.run("nginx", ["-T", "-q"], hasErrors: true) {
        case .missing: return .unknown("nginx's files were not looked at: nginx is not installed here")
        case .failed(let reason): return .unknown("nginx's files were not looked at: nginx -T: \(reason)")
        case .output(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            return text.contains("# configuration file ") ? judge(text, server) : failed(text, isRoot: geteuid() == 0)
        }
    }

    /// - Parameter text: what nginx said in place of its files. For another user than root it always fails.
    static func failed(_ text: String, isRoot: Bool) -> Self {
        guard isRoot else { return .unknown("nginx's files were not looked at: nginx -T needs root") }
        let lines = text.split(separator: "\n")
        // `2026/11/27 00:03:49 [emerg] 31594#31594: …`, or with `nginx: ` in front; warnings may stand before it.
        guard let line = lines.first(where: { $0.contains("[emerg]") }) ?? lines.first else {
            return .unknown("nginx's files were not looked at: nginx -T fails without a word")
        }
        return .invalid(String(line))
    }

    /// - Parameter dump: files after lines `# configuration file PATH:`, without included files in place.
    static func judge(_ dump: String, _ server: Configuration.Server) -> Self {
        let directives = NginxTree.read(files(in: dump))
        let targets = NginxTree.targets(of: server, in: NginxDirective.all(in: directives))
        var found: [Limits] = []
        collect(directives, .defaults, targets, &found)
        return found.isEmpty
            ? .unknown("nginx -T has no fastcgi_pass to \(WorkerSocket(server: server).name)") : .limits(found)
    }

    /// - Parameter inherited: the limits around this block.
    private static func collect(
        _ block: [NginxDirective], _ inherited: Limits, _ targets: Set<String>, _ found: inout [Limits]
    ) {
        var limits = inherited
        for directive in block {
            guard let value = directive.words.dropFirst().first else { continue }
            switch directive.name {
            case "client_max_body_size":
                if let bytes = size(value) { limits.body = Setting(value: bytes, place: directive.place) }
            case "fastcgi_read_timeout":
                if let time = seconds(value) { limits.readTime = Setting(value: time, place: directive.place) }
            default: break
            }
        }
        let isPlace = block.contains { $0.name == "fastcgi_pass" && targets.contains($0.words.dropFirst().first ?? "") }
        if isPlace { found.append(limits) }
        for directive in block { collect(directive.block, limits, targets, &found) }
    }

    private static func files(in dump: String) -> [(name: String, text: String)] {
        dump.split(separator: "# configuration file ").compactMap { file in
            // The line is `PATH:`.
            guard let end = file.firstIndex(of: "\n"), end > file.startIndex else { return nil }
            return (String(file[..<end].dropLast()), String(file[file.index(after: end)...]))
        }
    }

    /// `32m`, `1048576`, `64k`, `1g`.
    static func size(_ text: String) -> Int? {
        let units = ["k": 1024, "m": 1024 * 1024, "g": 1024 * 1024 * 1024]
        guard let last = text.last else { return nil }
        guard let unit = units[last.lowercased()] else { return Int(text) }
        return Int(text.dropLast()).map { $0 * unit }
    }

    /// `660s`, `660`, `11m`; nil for combinations and other units.
    static func seconds(_ text: String) -> Int? {
        if text.hasSuffix("s") { return Int(text.dropLast()) }
        if text.hasSuffix("m") { return Int(text.dropLast()).map { $0 * 60 } }
        return Int(text)
    }

    // MARK: The judgement

    func difference(from configuration: Configuration) -> Finding? {
        switch self {
        case .unknown: nil
        case .invalid(let words):
            .warn(
                .nginxSite, "nginx does not accept its configuration, and its next start will fail: \(words)",
                fix: "nginx -t")
        case .limits(let places): places.lazy.compactMap { Self.difference($0, configuration) }.first
        }
    }

    private static func difference(_ limits: Limits, _ configuration: Configuration) -> Finding? {
        let own = configuration.server.maxBodyBytes
        if limits.body.value != own {
            let (value, place) = (limits.body.value, limits.body.place)
            return .warn(
                .nginxSite,
                "client_max_body_size is \(value == 0 ? "without limit" : "\(value) bytes") (\(place)), but "
                    + "server.max_body_bytes is \(own)",
                fix: "make the two equal")
        }
        let wait = max(configuration.ollama.firstByteTimeout, configuration.ollama.idleTimeout)
        if .seconds(limits.readTime.value) <= wait {
            return .warn(
                .nginxSite,
                """
                fastcgi_read_timeout is \(limits.readTime.value) s (\(limits.readTime.place)), not longer than the \
                worker's own time-outs (\(wait.inSeconds.formatted(0)) s)
                """,
                fix: "raise fastcgi_read_timeout above ollama.first_byte_timeout and idle_timeout")
        }
        return nil
    }

    var words: String {
        switch self {
        case .unknown(let reason), .invalid(let reason): reason
        case .limits: "its limits agree with the worker's"
        }
    }
}
