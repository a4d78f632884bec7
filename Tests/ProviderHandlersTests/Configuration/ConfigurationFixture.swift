import TestSupport

@testable import ProviderHandlers

/// Loads configurations written in a test, from a directory of the test's own.
struct ConfigurationFixture {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Loads a file with the text; the machine's own environment and default file play no part.
    func load(
        _ yaml: String, environment: [String: String] = [:], mode: Int = 0o600
    ) throws -> LoadedConfiguration {
        let path = try directory.write(yaml, to: "config.yaml", mode: mode)
        return try load(path: path, environment: environment)
    }

    /// Loads the named file, or the default one, which is missing here.
    func load(path: String? = nil, environment: [String: String] = [:]) throws -> LoadedConfiguration {
        try Configuration.load(
            path: path, environment: environment, defaultPath: directory.path + "/missing.yaml",
            defaultKeyFile: defaultKeyFile)
    }

    /// Where the file with the key is looked for when nothing else gives one; missing unless a test writes it.
    var defaultKeyFile: String { directory.path + "/default-key" }

    /// The message of the error that the text causes, with the directory left out; nil when it loads.
    func problem(_ yaml: String, environment: [String: String] = [:]) throws -> String? {
        try problem { try load(yaml, environment: environment) }
    }

    /// The same for any way to load.
    func problem(_ load: () throws -> LoadedConfiguration) throws -> String? {
        do {
            _ = try load()
            return nil
        } catch let error as ConfigurationError {
            return "\(error)".replacing(directory.path + "/", with: "")
        }
    }
}
