/// Builds the configuration from its sources; later sources override earlier ones.
struct ConfigurationLoader {
    var configuration = Configuration()
    var warnings: [String] = []
    var missingKey: String?
    /// Where a key got its value, as messages call the place.
    private(set) var places: [String: String] = [:]

    /// Applies the file.
    mutating func apply(_ file: ConfigurationFile) throws(ConfigurationError) {
        guard let root = file.root else { return }
        let sections = ConfigurationSchema.sections
        for entry in try entries(of: root, nil, expected: sections.joinedByOr, in: file) {
            guard sections.contains(entry.key) else { throw unknownSection(entry, in: file) }
            let keys = ConfigurationSchema.keys(of: entry.key)
            let expected = keys.map(\.name).joinedByOr
            for setting in try entries(of: entry.value, entry.key, expected: expected, in: file) {
                guard let key = keys.first(where: { $0.name == setting.key }) else {
                    throw unknownKey(setting, section: entry.key, expected: expected, in: file)
                }
                try apply(key, setting.value, in: file)
            }
        }
        let provider = configuration.provider
        try refuseBoth(!provider.apiKey.isEmpty, !provider.apiKeyFile.isEmpty)
        if !provider.apiKey.isEmpty && file.isReadableByOthers {
            warnings.append(
                """
                \(file.name): holds provider.api_key and every user can read it; run chmod 640 \(file.name), with the \
                service's group
                """)
        }
    }

    /// Applies the environment: `PROVIDER_` and the key's name.
    ///
    /// An empty variable clears a key that may be empty. For any other key it is ignored, like a blank value in the file.
    mutating func apply(_ environment: [String: String]) throws(ConfigurationError) {
        let names = ConfigurationSchema.keys.map(\.variable) + ["PROVIDER_CONFIG"]
        for name in environment.keys.sorted() where name.hasPrefix("PROVIDER_") && !names.contains(name) {
            let nearest = Self.nearestVariable(name, among: names).map { "; did you mean \($0)?" } ?? ""
            warnings.append("environment variable \(Found.key(name)): there is no such setting\(nearest)")
        }
        let isGiven = { (name: String) in environment[name]?.isEmpty == false }
        // An API key in the environment replaces the file's, even if the file has it under the other name.
        if isGiven("PROVIDER_API_KEY") { configuration.provider.apiKeyFile = "" }
        if isGiven("PROVIDER_API_KEY_FILE") { configuration.provider.apiKey = Secret("") }
        for key in ConfigurationSchema.keys {
            guard let text = environment[key.variable] else { continue }
            let place = "environment variable \(key.variable)"
            let written: WrittenValue = key.isList ? .list(Self.elements(of: text)) : .text(text, isQuoted: false)
            if key.set(written, in: &configuration) {
                places[key.path] = place
            } else if !text.isEmpty {
                throw ConfigurationError(place, key.path, key.problem(with: written))
            }
        }
        try refuseBoth(isGiven("PROVIDER_API_KEY"), isGiven("PROVIDER_API_KEY_FILE"))
    }

    /// Checks values against each other, and warns of dangerous values.
    ///
    /// - Throws: for a socket that other machines can reach without `server.allow_remote`, and for samples that get too old.
    mutating func checkTogether() throws(ConfigurationError) {
        try checkReach()
        if !configuration.provider.apiKey.isEmpty, configuration.provider.url.hasPrefix("http://"),
            !Loopback.contains(url: configuration.provider.url)
        {
            warnings.append(
                "provider.url: the API key goes over the network unencrypted to \(configuration.provider.url); use https://"
            )
        }
        warnings += BaseURLPath.warnings(configuration)
        try checkSampleAge()
        if configuration.gpu.maxSampleAge <= configuration.gpu.sampleInterval {
            warnings.append(
                """
                gpu.max_sample_age is not above gpu.sample_interval: samples are too old before the next one comes, \
                and the machine then counts as busy
                """)
        }
    }
}

extension ConfigurationLoader {
    /// libfcgi trusts its peer: over TCP the peer has to be on this machine, unless the operator allows others.
    private mutating func checkReach() throws(ConfigurationError) {
        let server = configuration.server
        guard server.socket.isEmpty, !Loopback.contains(server.host) else { return }
        guard server.allowRemote else {
            throw ConfigurationError(
                places["server.host"] ?? "", "server.host",
                """
                \(Found.value(server.host)) is not a loopback address, and anyone who can connect controls the worker: \
                use 127.0.0.1 or server.socket, or set server.allow_remote to true
                """)
        }
        warnings.append(
            """
            server.host: \(server.host) is not a loopback address (server.allow_remote is true): make sure that only nginx \
            reaches port \(server.port)
            """)
    }

    /// With a limit above the default, a sample has to last for a run, the pause after it and the next run.
    private func checkSampleAge() throws(ConfigurationError) {
        let gpu = configuration.gpu
        let timeout = gpu.nvidiaSMITimeout
        let least = timeout * 2 + Configuration.GPU.longestPause
        guard timeout > Configuration.GPU().nvidiaSMITimeout, gpu.maxSampleAge < least else { return }
        throw ConfigurationError(
            places["gpu.nvidia_smi_timeout"] ?? "", "gpu.nvidia_smi_timeout",
            """
            with \(timeout.inSeconds) s expected gpu.max_sample_age to be at least \(least.inSeconds) s (twice as \
            long plus \(Configuration.GPU.longestPause.inSeconds) s: a run, a pause and the next run), found \(gpu.maxSampleAge.inSeconds) s; raise \
            gpu.max_sample_age
            """)
    }

    private mutating func apply(
        _ key: ConfigurationKey, _ node: YAMLNode, in file: ConfigurationFile
    ) throws(ConfigurationError) {
        // A blank value leaves the default.
        guard !node.isNull else { return }
        let written = WrittenValue(node)
        places[key.path] = "\(file.name):\(node.line)"
        guard key.set(written, in: &configuration) else {
            throw ConfigurationError("\(file.name):\(node.line)", key.path, key.problem(with: written))
        }
    }

    private func entries(
        of node: YAMLNode, _ key: String?, expected: String, in file: ConfigurationFile
    ) throws(ConfigurationError) -> [YAMLNode.Entry] {
        if node.isNull { return [] }
        guard case .mapping(let entries) = node.content else {
            // The text is not shown: it may be `api_key abc`, which lacks the colon.
            throw ConfigurationError(
                "\(file.name):\(node.line)", key, "expected keys (\(expected)), found \(Found.kind(of: node))")
        }
        return entries
    }

    private func unknownSection(_ entry: YAMLNode.Entry, in file: ConfigurationFile) -> ConfigurationError {
        let sections = ConfigurationSchema.sections
        let named = ConfigurationSchema.keys.filter { $0.name == entry.key }
        let nearest = named.count == 1 ? named[0].path : Nearest.match(entry.key, among: sections)
        return unknown(entry, Found.key(entry.key), expected: sections.joinedByOr, nearest, in: file)
    }

    private func unknownKey(
        _ entry: YAMLNode.Entry, section: String, expected: String, in file: ConfigurationFile
    ) -> ConfigurationError {
        let near = Nearest.match(entry.key, among: ConfigurationSchema.keys(of: section).map(\.name))
        let elsewhere = ConfigurationSchema.keys.filter { $0.name == entry.key }
        let nearest = near ?? (elsewhere.count == 1 ? elsewhere[0].path : nil)
        return unknown(entry, "\(section).\(Found.key(entry.key))", expected: expected, nearest, in: file)
    }

    private func unknown(
        _ entry: YAMLNode.Entry, _ key: String, expected: String, _ nearest: String?, in file: ConfigurationFile
    ) -> ConfigurationError {
        let hint = nearest.map { "; did you mean \($0)?" } ?? ""
        return ConfigurationError(
            "\(file.name):\(entry.line)", key, "unknown key, expected \(expected)\(hint)")
    }

    private func refuseBoth(_ hasKey: Bool, _ hasFile: Bool) throws(ConfigurationError) {
        guard hasKey && hasFile else { return }
        throw ConfigurationError(
            places["provider.api_key_file"] ?? "", "provider.api_key_file",
            "expected this or provider.api_key, found both; the other is in \(places["provider.api_key"] ?? "")")
    }

    private static func nearestVariable(_ name: String, among names: [String]) -> String? {
        let prefix = "PROVIDER_"
        // All other variables contain their section's name, so PROVIDER_PROVIDER_URL is an obvious guess.
        if let plain = names.first(where: { prefix + $0 == name }) { return plain }
        // Without the common prefix, which would make all names look alike.
        let rests = names.map { String($0.dropFirst(prefix.count)) }
        return Nearest.match(String(name.dropFirst(prefix.count)), among: rests).map { prefix + $0 }
    }

    private static func elements(of text: String) -> [String] {
        if text.isEmpty { return [] }
        return text.split(separator: ",", omittingEmptySubsequences: false).map { element in
            var element = element.drop { $0 == " " }
            while element.last == " " { element.removeLast() }
            return String(element)
        }
    }
}

/// Finds environment variables with a value in quotation marks.
///
/// A shell removes the marks; `docker run --env-file` and other readers of these files keep them as a part of the value.
enum QuotedVariable {
    /// Typographic marks come from values copied from web pages; they pair in many ways.
    private static let typographic = "\u{201C}\u{201D}\u{201E}\u{201F}\u{2018}\u{2019}\u{201A}\u{201B}\u{AB}\u{BB}"

    /// - Throws: for the first setting, in the table's order, with a value in quotation marks.
    static func check(_ environment: [String: String]) throws(ConfigurationError) {
        let secrets = ConfigurationSchema.keys.filter(\.isSecret).map(\.variable)
        for name in ["PROVIDER_CONFIG"] + ConfigurationSchema.keys.map(\.variable) {
            guard let value = environment[name], isQuoted(value) else { continue }
            let found = secrets.contains(name) ? Found.secret : Found.value(value)
            throw ConfigurationError(
                "environment variable \(name)", nil,
                """
                expected a value without quotation marks around it, found \(found); remove them (docker run --env-file \
                keeps them as a part of the value)
                """)
        }
    }

    /// Whether a text, without the blanks around it, begins and ends with quotation marks of one kind.
    static func isQuoted(_ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard let start = scalars.firstIndex(where: { !isBlank($0) }),
            let end = scalars.lastIndex(where: { !isBlank($0) }), start < end
        else { return false }
        let (first, last) = (scalars[start], scalars[end])
        let marks = typographic.unicodeScalars
        return first == last && (first == "\"" || first == "'") || marks.contains(first) && marks.contains(last)
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { [" ", "\t", "\r", "\n"].contains(scalar) }
}
