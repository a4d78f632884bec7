import Glibc

/// Whether the configuration is usable, and what in it is dangerous.
struct ConfigurationCheck: Sendable {
    var source: String
    /// The file with the key and who can read it; empty without such a file.
    var key = ""
    var warnings: [String]

    /// Reads nginx's files as well: `provider.hmac: optional` contradicts a site that other machines can reach.
    static func look(_ loaded: LoadedConfiguration) -> Self {
        Self(
            source: loaded.source, key: readers(of: loaded),
            warnings: loaded.warnings + [NginxSites.warning(loaded.configuration)].compactMap(\.self))
    }

    private static func readers(of loaded: LoadedConfiguration) -> String {
        let provider = loaded.configuration.provider
        if Program.environment["PROVIDER_API_KEY"]?.isEmpty == false { return "the environment (PROVIDER_API_KEY)" }
        let file = provider.apiKeyFile.isEmpty ? loaded.source : provider.apiKeyFile
        var information = stat()
        guard !provider.apiKey.isEmpty, unsafe stat(file, &information) == 0 else { return "" }
        return "\(file), mode 0\(String(information.st_mode & 0o777, radix: 8))"
    }

    var findings: [Finding] {
        guard let first = warnings.first else {
            return [.ok(.config, "\(source): valid" + (key.isEmpty ? "" : "; the key is in \(key)"))]
        }
        // Each warning names its remedy.
        let rest = warnings.count == 1 ? "" : " (and \(warnings.count - 1) more)"
        return [
            .warn(
                .config, "\(source): \(first)\(rest)",
                fix: warnings.count == 1
                    ? "do what it says, then provider-fcgi --check-config" : "provider-fcgi --check-config lists all")
        ]
    }

    /// For a configuration that cannot be used: nothing else can be looked at.
    ///
    /// - Parameter path: of the configuration file; nil where none is named.
    static func failed(_ reason: String, path: String?, needsRights: Bool = false) -> DoctorReport {
        let others = CheckCode.allCases.filter { $0 != .config }.map { Finding.skip($0, because: .config) }
        let fix =
            needsRights
            ? "run doctor as root"
            : "correct that; provider-fcgi --check-config\(path.map { " --config " + $0 } ?? "") checks it again"
        return DoctorReport([.fail(.config, reason, fix: fix)] + others, isConfigurationBroken: true)
    }
}
