/// A configuration and where it came from.
public struct LoadedConfiguration: Sendable {
    public let configuration: Configuration
    /// What to call the source in messages: the file's path, or words that say that there is none.
    public let source: String
    /// What the operator should know, one line each; never the value of a secret.
    public var warnings: [String]
    /// Why there is no API key, and what to do; nil where there is one.
    public let missingKey: String?
}

/// Where a program's configuration comes from, to read it now and again.
public struct ConfigurationSource: Sendable {
    private let path: String?
    private let environment: [String: String]

    /// As `Configuration.load` takes them.
    public init(path: String?, environment: [String: String]) {
        self.path = path
        self.environment = environment
    }

    /// Reads it as it is now.
    public func load() throws(ConfigurationError) -> LoadedConfiguration {
        try Configuration.load(path: path, environment: environment)
    }
}

extension Configuration {
    /// Where the configuration is when nobody says otherwise.
    public static let defaultPath = "/etc/provider-client/config.yaml"

    /// The file from which the units make the credential `api_key`. By hand it is read where it may be.
    public static let defaultKeyFile = "/etc/provider-client/api_key"

    /// Reads the configuration file, lets the environment override it, and validates the result.
    ///
    /// - Parameters:
    ///   - path: the file the command line names; without one `PROVIDER_CONFIG` in the environment names it, and
    ///     without that it is `defaultPath`, which alone may be missing.
    ///   - environment: `PROVIDER_…` variables override the file's keys; `CREDENTIALS_DIRECTORY` is where systemd
    ///     puts the API key. Without that variable the key may come from `defaultKeyFile`.
    /// - Throws: `ConfigurationError` for the first problem.
    public static func load(
        path: String?, environment: [String: String]
    ) throws(ConfigurationError) -> LoadedConfiguration {
        try load(path: path, environment: environment, defaultPath: defaultPath, defaultKeyFile: defaultKeyFile)
    }

    /// `load(path:environment:)` with other default paths, for tests.
    static func load(
        path: String?, environment: [String: String], defaultPath: String, defaultKeyFile: String
    ) throws(ConfigurationError) -> LoadedConfiguration {
        try QuotedVariable.check(environment)
        let file = try ConfigurationFile(path: path, environment: environment, defaultPath: defaultPath)
        var loader = ConfigurationLoader()
        if let file { try loader.apply(file) }
        try loader.apply(environment)
        try loader.readKeyFile()
        try loader.readCredential(environment)
        try loader.readDefaultKeyFile(defaultKeyFile, environment)
        try loader.checkTogether()
        return LoadedConfiguration(
            configuration: loader.configuration, source: file?.name ?? "defaults (no \(defaultPath))",
            warnings: loader.warnings, missingKey: loader.missingKey)
    }
}
