import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// The API key as systemd hands it over.
@Suite("Configuration: credential")
struct CredentialTests {
    private let fixture: ConfigurationFixture
    private let environment: [String: String]

    init() throws {
        fixture = try ConfigurationFixture()
        environment = ["CREDENTIALS_DIRECTORY": fixture.directory.path]
    }

    private func credential(_ contents: String, mode: Int = 0o400) throws {
        try fixture.directory.write(contents, to: "api_key", mode: mode)
    }

    /// Readable by all: in systemd's directory that means nothing.
    @Test(arguments: ["sk-1", "sk-1\n"])
    func isTheKey(_ contents: String) throws {
        try credential(contents, mode: 0o444)
        let loaded = try fixture.load("log: {level: info}\n", environment: environment)
        #expect(loaded.configuration.provider.apiKey == Secret("sk-1"))
        #expect(loaded.configuration.provider.apiKeyFile == fixture.directory.path + "/api_key")
        #expect(loaded.warnings.isEmpty)
    }

    @Test func anyOtherKeyComesFirst() throws {
        try credential("from-systemd")
        let file = try fixture.directory.write("from-file", to: "key", mode: 0o600)
        for (yaml, variables, key) in [
            ("provider: {api_key: given}\n", [:], "given"), ("provider: {api_key_file: \(file)}\n", [:], "from-file"),
            ("", ["PROVIDER_API_KEY": "given"], "given"), ("", ["PROVIDER_API_KEY_FILE": file], "from-file"),
            ("provider: {api_key: '', api_key_file: ''}\n", [:], "from-systemd"),
            ("", ["PROVIDER_API_KEY": ""], "from-systemd"),
        ] {
            let loaded = try fixture.load(yaml, environment: environment.merging(variables) { $1 })
            #expect(loaded.configuration.provider.apiKey == Secret(key), "\(yaml) \(variables)")
        }
    }

    @Test func anEmptyOrMissingFileIsNoKey() throws {
        for environment in [environment, [:], ["CREDENTIALS_DIRECTORY": ""], ["CREDENTIALS_DIRECTORY": "relative"]] {
            #expect(try fixture.load(environment: environment).configuration == Configuration())
        }
        try credential("")
        #expect(try fixture.load(environment: environment).configuration == Configuration())
        // What the units fall back on.
        try credential("\n", mode: 0o600)
        #expect(try fixture.load(environment: environment).configuration == Configuration())
    }

    @Test func anUnusableFileIsAnError() throws {
        try credential("s3cret s3cret")
        #expect(
            try fixture.problem { try fixture.load(environment: environment) } == """
                systemd credential api_key: provider.api_key_file: api_key: expected one line of visible ASCII \
                characters without blanks or quotation marks, found something else
                """)
    }

    @Test func anUnreadableFileIsAnError() throws {
        let problem = try fixture.problem {
            try fixture.load(environment: ["CREDENTIALS_DIRECTORY": try directoryInItsPlace()])
        }
        #expect(
            problem == """
                systemd credential api_key: provider.api_key_file: a/api_key: cannot be read: expected a regular file, \
                found a directory
                """)
    }

    private func directoryInItsPlace() throws -> String {
        let path = fixture.directory.path + "/a"
        try FileManager.default.createDirectory(atPath: path + "/api_key", withIntermediateDirectories: true)
        return path
    }
}
