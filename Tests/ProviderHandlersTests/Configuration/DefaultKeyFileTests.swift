import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// The API key of a program that is started by hand, and the words where there is none.
@Suite("Configuration: default key file")
struct DefaultKeyFileTests {
    private let fixture: ConfigurationFixture

    init() throws { fixture = try ConfigurationFixture() }

    private func write(_ contents: String, mode: Int = 0o600) throws {
        try fixture.directory.write(contents, to: "default-key", mode: mode)
    }

    @Test(arguments: ["sk-1", "sk-1\n"])
    func theDefaultFileGivesTheKeyWithoutOtherSources(_ contents: String) throws {
        try write(contents)
        for environment in [[:], ["CREDENTIALS_DIRECTORY": ""], ["PROVIDER_API_KEY": ""]] {
            let loaded = try fixture.load("provider: {api_key: '', api_key_file: ''}\n", environment: environment)
            #expect(loaded.configuration.provider.apiKey == Secret("sk-1"))
            #expect(loaded.configuration.provider.apiKeyFile == fixture.defaultKeyFile)
            #expect(loaded.missingKey == nil)
            #expect(loaded.warnings.isEmpty)
        }
    }

    /// A service has what its unit gives it, also where that is nothing.
    @Test func anyOtherKeyComesFirst() throws {
        try write("from-the-default")
        let file = try fixture.directory.write("from-file", to: "key", mode: 0o600)
        let credentials = try TemporaryDirectory()
        let service = ["CREDENTIALS_DIRECTORY": credentials.path]
        for (yaml, environment, key) in [
            ("provider: {api_key: given}\n", [:], "given"), ("provider: {api_key_file: \(file)}\n", [:], "from-file"),
            ("", ["PROVIDER_API_KEY": "given"], "given"), ("", service, ""),
        ] {
            let loaded = try fixture.load(yaml, environment: environment)
            #expect(loaded.configuration.provider.apiKey == Secret(key))
            #expect((loaded.missingKey == nil) == !key.isEmpty)
        }
        try credentials.write("from-systemd", to: "api_key", mode: 0o400)
        let loaded = try fixture.load(environment: service)
        #expect(loaded.configuration.provider.apiKey == Secret("from-systemd"))
        #expect(loaded.missingKey == nil)
    }

    @Test func withoutAKeyTheWordsNameTheFileAndTheCommand() throws {
        let file = fixture.defaultKeyFile
        let words =
            "no API key is set: write it into \(file) with `install -D -m 600 /dev/stdin \(file)` (type the key, Enter, Ctrl-D)"
        #expect(try fixture.load().missingKey?.hasPrefix(words) == true)
        // An empty one holds none.
        for contents in ["", "\n"] {
            try write(contents)
            let loaded = try fixture.load()
            #expect(loaded.missingKey?.hasPrefix(words) == true)
            #expect(loaded.configuration == Configuration())
        }
        // The command is the documented one.
        #expect(
            try Repository.read("README.md").contains(
                "    install -D -m 600 /dev/stdin \(Configuration.defaultKeyFile) "))
    }

    /// As an ordinary user: no error, since no one has asked for this file.
    @Test(.enabled(if: geteuid() != 0, "root may read every file"))
    func anUnreadableFileIsNamed() throws {
        try write("s3cret", mode: 0o000)
        let loaded = try fixture.load()
        #expect(loaded.configuration == Configuration())
        #expect(
            loaded.missingKey == """
                no API key is set, and \(fixture.defaultKeyFile) cannot be read: Permission denied; run this as root or as the \
                service, or set provider.api_key_file
                """)
    }

    @Test func anUnusableFileIsAnError() throws {
        try write("s3cret s3cret")
        let problem = try fixture.problem { try fixture.load() }
        #expect(
            problem?.hasPrefix("default key file: provider.api_key_file: default-key: expected one line of ") == true)
        #expect(problem?.contains("s3cret") == false)
        // Not where it is not used.
        _ = try fixture.load(environment: ["PROVIDER_API_KEY": "a"])
    }

    /// systemd reads the credential's source whatever its mode.
    @Test(arguments: [(0o644, true), (0o604, true), (0o640, false), (0o600, false)])
    func aFileThatEveryoneCanReadGetsAWarning(mode: Int, isWarned: Bool) throws {
        try write("sk-1", mode: mode)
        let credentials = try TemporaryDirectory()
        try credentials.write("sk-1", to: "api_key", mode: 0o400)
        let path = fixture.defaultKeyFile
        let warning = "\(path): holds provider.api_key and every user can read it; run chmod 600 \(path)"
        for environment in [[:], ["CREDENTIALS_DIRECTORY": credentials.path], ["PROVIDER_API_KEY": "other"]] {
            #expect(try fixture.load(environment: environment).warnings == (isWarned ? [warning] : []))
        }
    }

    @Test func aFileThatEveryoneCanReadGetsOneWarning() throws {
        try write("sk-1", mode: 0o644)
        let path = fixture.defaultKeyFile
        let loaded = try fixture.load("provider: {api_key_file: \(path)}\n")
        #expect(
            loaded.warnings == [
                "\(path): holds provider.api_key and every user can read it; run chmod 640 \(path), with the service's group"
            ])
        try write("")
        #expect(try fixture.load().warnings.isEmpty)
    }

    @Test(arguments: [
        ("", "", "no API key is set: write it into /etc/provider-client/api_key"),
        ("key", "", "check provider.api_key"), ("key", "/a/key", "check the API key in /a/key"),
        (
            "key", "/run/credentials/provider-fcgi@1.service/api_key",
            "check the API key in /etc/provider-client/api_key"
        ),
    ])
    func adviceNamesWhereTheKeyIs(key: String, file: String, advice: String) {
        var provider = Configuration.Provider()
        provider.apiKey = Secret(key)
        provider.apiKeyFile = file
        #expect(provider.keyAdvice.hasPrefix(advice))
        if !key.isEmpty { #expect(provider.keyAdvice == advice) }
    }
}
