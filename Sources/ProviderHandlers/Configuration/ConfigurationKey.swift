/// One key an operator can set: its name, and how its text becomes a value.
struct ConfigurationKey: Sendable {
    let section: String
    let name: String
    /// Completes "expected …".
    let expectation: String
    let choices: [String]
    let isList: Bool
    let isSecret: Bool
    /// Whether a reload leaves the value as it is: a new value takes a restart.
    let isFixed: Bool
    private let isNumber: Bool
    private let assign: @Sendable (WrittenValue, inout Configuration) -> Bool
    private let areEqual: @Sendable (Configuration, Configuration) -> Bool
    private let copy: @Sendable (Configuration, inout Configuration) -> Void

    init<Value: Equatable & SendableMetatype>(
        _ section: String, _ name: String, _ field: any WritableKeyPath<Configuration, Value> & Sendable,
        _ format: ValueFormat<Value>, isFixed: Bool = false
    ) {
        self.section = section
        self.name = name
        expectation = format.expectation
        choices = format.choices
        isList = format.isList
        isNumber = format.isNumber
        isSecret = Value.self == Secret.self
        self.isFixed = isFixed
        assign = { written, configuration in
            guard let value = format.parse(written) else { return false }
            configuration[keyPath: field] = value
            return true
        }
        areEqual = { $0[keyPath: field] == $1[keyPath: field] }
        copy = { $1[keyPath: field] = $0[keyPath: field] }
    }

    /// `section.name`, as messages call it.
    var path: String { "\(section).\(name)" }

    /// The environment variable that overrides it.
    var variable: String {
        let parts = section == "provider" ? [name] : [section, name]
        return "PROVIDER_" + parts.joined(separator: "_").uppercased()
    }

    /// Sets the configuration's field; false, with the field unchanged, when the value is not as expected.
    func set(_ written: WrittenValue, in configuration: inout Configuration) -> Bool {
        assign(written, &configuration)
    }

    /// Whether two configurations have different values for it.
    func differs(_ one: Configuration, _ other: Configuration) -> Bool {
        !areEqual(one, other)
    }

    /// Gives one configuration the value of another.
    func copy(from source: Configuration, to target: inout Configuration) {
        copy(source, &target)
    }

    /// `expected …, found …`, for a value that `set` refused.
    func problem(with written: WrittenValue) -> String {
        var problem = "expected \(expectation), found "
        switch written {
        case .text where isSecret: problem += Found.secret
        case .text(let text, let isQuoted):
            problem += Found.value(text)
            if isNumber && isQuoted { problem += " in quotes, which make it text" }
            if let nearest = Nearest.match(text, among: choices) { problem += "; did you mean \(nearest)?" }
        case .list(let texts):
            problem += isList ? Found.value("[\(texts.joined(separator: ", "))]") : "a list"
        case .other(let kind): problem += kind
        }
        return problem
    }
}

/// All keys. File, environment and example follow this table.
enum ConfigurationSchema {
    static let keys: [ConfigurationKey] = [
        ConfigurationKey("server", "socket", \.server.socket, .socketPath, isFixed: true),
        ConfigurationKey(
            "server", "socket_group", \.server.socketGroup, .text(#"the name of a group, or """#), isFixed: true),
        ConfigurationKey("server", "host", \.server.host, .host, isFixed: true),
        ConfigurationKey("server", "port", \.server.port, .whole(1...65_535), isFixed: true),
        ConfigurationKey("server", "allow_remote", \.server.allowRemote, .flag, isFixed: true),
        // Each completion takes a thread and a few descriptors.
        ConfigurationKey("server", "max_in_flight", \.server.maxInFlight, .whole(1...4096)),
        // A tebibyte: a body is never held in memory.
        ConfigurationKey("server", "max_body_bytes", \.server.maxBodyBytes, .whole(1...1_099_511_627_776)),
        ConfigurationKey("server", "scoreboard", \.server.scoreboard, .filePath, isFixed: true),
        ConfigurationKey("server", "drain_timeout", \.server.drainTimeout, .seconds),

        ConfigurationKey("ollama", "url", \.ollama.url, .url),
        ConfigurationKey("ollama", "forward", \.ollama.forward, .choice),
        ConfigurationKey("ollama", "connect_timeout", \.ollama.connectTimeout, .seconds),
        ConfigurationKey("ollama", "first_byte_timeout", \.ollama.firstByteTimeout, .seconds),
        ConfigurationKey("ollama", "idle_timeout", \.ollama.idleTimeout, .seconds),

        ConfigurationKey("provider", "api_key", \.provider.apiKey, .key),
        ConfigurationKey("provider", "api_key_file", \.provider.apiKeyFile, .filePath),
        ConfigurationKey("provider", "url", \.provider.url, .url),
        ConfigurationKey("provider", "type", \.provider.type, .name("the name of a kind of engine")),
        ConfigurationKey("provider", "hmac", \.provider.hmac, .choice),
        ConfigurationKey("provider", "hmac_header", \.provider.hmacHeader, .headerName),
        ConfigurationKey("provider", "report_timeout", \.provider.reportTimeout, .seconds),

        ConfigurationKey("ngrok", "url", \.ngrok.url, .optionalURL),
        ConfigurationKey("ngrok", "api", \.ngrok.api, .url),
        ConfigurationKey("ngrok", "tunnel", \.ngrok.tunnel, .text(#"the name of a tunnel, or """#)),
        ConfigurationKey("ngrok", "port", \.ngrok.port, .whole(1...65_535)),

        ConfigurationKey("cloudflare", "url", \.cloudflare.url, .optionalURL),
        ConfigurationKey("cloudflare", "metrics", \.cloudflare.metrics, .optionalURL),

        ConfigurationKey("gpu", "source", \.gpu.source, .choice, isFixed: true),
        ConfigurationKey(
            "gpu", "nvidia_smi", \.gpu.nvidiaSMI, .name("the name or path of a program"), isFixed: true),
        ConfigurationKey("gpu", "nvidia_smi_timeout", \.gpu.nvidiaSMITimeout, .seconds, isFixed: true),
        ConfigurationKey("gpu", "busy_threshold", \.gpu.busyThreshold, .whole(0...100)),
        ConfigurationKey("gpu", "busy_policy", \.gpu.busyPolicy, .choice),
        ConfigurationKey("gpu", "devices", \.gpu.devices, .devices, isFixed: true),
        ConfigurationKey("gpu", "sample_interval", \.gpu.sampleInterval, .seconds, isFixed: true),
        ConfigurationKey("gpu", "max_sample_age", \.gpu.maxSampleAge, .seconds, isFixed: true),
        ConfigurationKey("gpu", "admit_per_sample", \.gpu.admitPerSample, .whole(0...4096)),

        ConfigurationKey("log", "level", \.log.level, .choice),
        ConfigurationKey("log", "format", \.log.format, .choice),
    ]

    /// The sections, in the table's order.
    static let sections: [String] = keys.reduce(into: []) { sections, key in
        if sections.last != key.section { sections.append(key.section) }
    }

    static func keys(of section: String) -> [ConfigurationKey] { keys.filter { $0.section == section } }
}

extension [String] {
    /// `a`, `a or b`, `a, b or c`.
    var joinedByOr: String {
        count < 2 ? joined() : dropLast().joined(separator: ", ") + " or " + self[count - 1]
    }
}
