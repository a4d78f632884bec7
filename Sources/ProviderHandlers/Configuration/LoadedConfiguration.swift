import Glibc

/// A configuration and where it came from.
public struct LoadedConfiguration: Sendable {
    public let configuration: Configuration
    /// The source's name in messages: the file's path, or words for the defaults.
    public let source: String
    /// Advice for the operator, one line each; never the value of a secret.
    public var warnings: [String]
    /// Why there is no API key, and what to do; nil where there is one.
    public let missingKey: String?
}

/// Where a program's configuration comes from, for a program that reads it again at a reload.
public struct ConfigurationSource: Sendable {
    let path: String?
    private let environment: [String: String]

    /// As `Configuration.load` takes them.
    public init(path: String?, environment: [String: String]) {
        self.path = path
        self.environment = environment
    }

    /// Reads file and environment as they are now.
    public func load() throws(ConfigurationError) -> LoadedConfiguration {
        try Configuration.load(path: path, environment: environment)
    }
}

extension Configuration {
    /// The file that is read when neither command line nor environment names one.
    public static let defaultPath = "/etc/provider-client/config.yaml"

    /// The file from which the units make the credential `api_key`. A program started by hand reads it if it may.
    public static let defaultKeyFile = "/etc/provider-client/api_key"

    /// Reads the configuration file, lets the environment override it, and validates the result.
    ///
    /// - Parameters:
    ///   - path: the file that the command line names; nil for the file in `$PROVIDER_CONFIG`, or else `defaultPath`. Only
    ///     `defaultPath` may be missing.
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

/// What a reload changes while the worker runs.
public struct ConfigurationChange: Sendable {
    /// The next configuration, with the running values of the keys in `kept`.
    public let configuration: Configuration
    /// Changed keys, such as `gpu.busy_threshold`; never their values, because the API key is a secret.
    public let changed: [String]
    /// Keys with new values that have to wait for a restart.
    public let kept: [String]

    public init(from running: Configuration, to next: Configuration) {
        let differing = ConfigurationSchema.keys.filter { $0.differs(running, next) }
        var configuration = next
        for key in differing where key.isFixed { key.copy(from: running, to: &configuration) }
        self.configuration = configuration
        changed = differing.filter { !$0.isFixed }.map(\.path)
        kept = differing.filter(\.isFixed).map(\.path)
    }
}

/// The configuration file: found, read and parsed.
struct ConfigurationFile {
    /// Far above any real configuration (bytes).
    static let sizeLimit = 1_048_576

    /// The path, fit for a message.
    let name: String
    /// The whole document; nil for an empty file.
    let root: YAMLNode?
    let isReadableByOthers: Bool

    /// Finds the file: the command line's, else the environment's, else the default one.
    ///
    /// - Returns: nil when no file is named and the default file is missing.
    init?(path: String?, environment: [String: String], defaultPath: String) throws(ConfigurationError) {
        guard path != "" else { throw ConfigurationError("--config", nil, #"expected the path of a file, found """#) }
        // An empty variable names nothing, as in most programs.
        let variable = environment["PROVIDER_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let isNamed = path != nil || variable != nil
        let chosen = path ?? variable ?? defaultPath
        let name = ForeignText.printable(chosen)
        self.name = name
        let file: BoundedFile
        do throws(UnreadableFile) {
            file = try BoundedFile(chosen, limit: Self.sizeLimit)
        } catch {
            // A dangling link is a mistake: an operator meant it to be the configuration.
            if error.isMissing && !isNamed && !Self.isLink(chosen) { return nil }
            let origin = path == nil && variable != nil ? " (named by PROVIDER_CONFIG)" : ""
            throw ConfigurationError(
                name, nil, "cannot be read: \(error.reason)\(origin)", needsRights: error.isForbidden)
        }
        isReadableByOthers = file.isReadableByOthers
        do throws(YAMLError) {
            root = try YAMLNode.document(in: file.bytes)
        } catch {
            throw ConfigurationError(error.line.map { "\(name):\($0)" } ?? name, error.key, error.problem)
        }
    }

    private static func isLink(_ path: String) -> Bool {
        var information = stat()
        return unsafe lstat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFLNK
    }
}
