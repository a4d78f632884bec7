import ProviderHandlers

/// Where the worker's configuration comes from: what every program reads, compared with what nginx's file says.
struct WorkerConfigurationSource {
    private let source: ConfigurationSource
    private let nginxUpstream: String?

    /// - Parameter nginxUpstream: as `NginxUpstream.check` takes it.
    init(_ source: ConfigurationSource, nginxUpstream: String?) {
        self.source = source
        self.nginxUpstream = nginxUpstream
    }

    /// Reads both as they are now.
    ///
    /// - Throws: also when nginx would forward to another engine.
    func load() throws(ConfigurationError) -> LoadedConfiguration {
        var loaded = try source.load()
        switch NginxUpstream.check(loaded.configuration, path: nginxUpstream) {
        case .agrees: break
        case .unknown(let problem): loaded.warnings.append(problem)
        case .disagrees(let problem): throw ConfigurationError(description: problem)
        }
        if let warning = NginxSites.warning(loaded.configuration) { loaded.warnings.append(warning) }
        if let missingKey = loaded.missingKey { loaded.warnings.append("provider.api_key: \(missingKey)") }
        return loaded
    }
}
