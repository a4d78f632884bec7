/// The limits in nginx's configuration, as `nginx -T` prints it.
enum NginxFiles: Sendable, Equatable {
    /// They could not be read, and why.
    case unknown(String)
    /// The limits beside each `fastcgi_pass` to the worker: a site of the operator's may have one of its own.
    case limits([Limits])

    /// What one place sets; nil where it does not.
    struct Limits: Sendable, Equatable {
        var file: String
        /// Bytes; 0 is no limit.
        var body: Int?
        /// Seconds.
        var readTime: Int?
    }

    static func look(_ server: Configuration.Server) -> Self {
        switch OtherProgram.run("nginx", ["-T", "-q"]) {
        case .missing: .unknown("nginx's files were not looked at: nginx is not installed here")
        case .failed: .unknown("nginx's files were not looked at: nginx -T needs root")
        case .output(let bytes): judge(String(decoding: bytes, as: UTF8.self), server)
        }
    }

    /// - Parameter dump: files after lines `# configuration file PATH:`, without included files in place.
    static func judge(_ dump: String, _ server: Configuration.Server) -> Self {
        let own = server.socket.isEmpty ? "\(server.host):\(server.port)" : "unix:\(server.socket)"
        var limits: [Limits] = []
        for (name, text) in files(in: dump) {
            let directives = NginxDirective.parse(text, file: "")
            let blocks = [directives] + NginxDirective.all(in: directives).map(\.block)
            for block in blocks where block.contains(where: { $0.words == ["fastcgi_pass", own] }) {
                func value(_ name: String) -> String? { block.first { $0.name == name }?.words.dropFirst().first }
                limits.append(
                    Limits(
                        file: name, body: value("client_max_body_size").flatMap(size),
                        readTime: value("fastcgi_read_timeout").flatMap(seconds)))
            }
        }
        return limits.isEmpty ? .unknown("nginx -T has no fastcgi_pass to \(own)") : .limits(limits)
    }

    private static func files(in dump: String) -> [(name: String, text: String)] {
        dump.split(separator: "# configuration file ").compactMap { file in
            // The line is `PATH:`.
            guard let end = file.firstIndex(of: "\n"), end > file.startIndex else { return nil }
            return (String(file[..<end].dropLast()), String(file[end...]))
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
        guard case .limits(let places) = self else { return nil }
        return places.lazy.compactMap { Self.difference($0, configuration) }.first
    }

    private static func difference(_ limits: Limits, _ configuration: Configuration) -> Finding? {
        let own = configuration.server.maxBodyBytes
        if let body = limits.body, body != own {
            return .warn(
                .nginxSite,
                "client_max_body_size is \(body) bytes in \(limits.file), but server.max_body_bytes is \(own)",
                fix: "make the two equal")
        }
        let wait = max(configuration.ollama.firstByteTimeout, configuration.ollama.idleTimeout)
        if let time = limits.readTime, .seconds(time) <= wait {
            return .warn(
                .nginxSite,
                """
                fastcgi_read_timeout is \(time) s in \(limits.file), not longer than the worker's own time-outs \
                (\(wait.inSeconds.formatted(0)) s)
                """,
                fix: "raise fastcgi_read_timeout above ollama.first_byte_timeout and idle_timeout")
        }
        return nil
    }

    var words: String {
        switch self {
        case .unknown(let reason): reason
        case .limits: "its limits agree with the worker's"
        }
    }
}
