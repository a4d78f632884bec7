import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("Configuration: API key")
struct APIKeyTests {
    let fixture: ConfigurationFixture
    init() throws { fixture = try ConfigurationFixture() }

    private func file(_ contents: String, mode: Int = 0o600) throws -> String {
        try fixture.directory.write(contents, to: "key", mode: mode)
    }

    @Test(arguments: ["sk-1", "sk-1\n", "sk-1\r\n", "sk-1 \n\n"])
    func fromAFile(_ contents: String) throws {
        let path = try file(contents)
        var expected = Configuration()
        expected.provider.apiKey = Secret("sk-1")
        expected.provider.apiKeyFile = path
        let fromFile = try fixture.load("provider: {api_key_file: \(path)}\n")
        #expect(fromFile.configuration == expected)
        #expect(fromFile.warnings.isEmpty)
        let fromEnvironment = try fixture.load(environment: ["PROVIDER_API_KEY_FILE": path])
        #expect(fromEnvironment.configuration == expected)
    }

    @Test(arguments: [
        ("", "expected a key, found an empty file"),
        (" \n\n", "expected a key, found an empty file"),
        (
            "s3cret\ns3cret\n",
            "expected one line of visible ASCII characters without blanks or quotation marks, found something else"
        ),
        (
            " s3cret",
            "expected one line of visible ASCII characters without blanks or quotation marks, found something else"
        ),
        (
            "s3crét",
            "expected one line of visible ASCII characters without blanks or quotation marks, found something else"
        ),
        (
            "s3cret\0",
            "expected one line of visible ASCII characters without blanks or quotation marks, found something else"
        ),
        (String(repeating: "s3cret", count: 2000), "cannot be read: expected at most 8192 bytes, found more"),
    ])
    func unusableFile(_ contents: String, _ expected: String) throws {
        let path = try file(contents)
        let problem = try fixture.problem("provider:\n  api_key_file: \(path)\n")
        #expect(problem == "config.yaml:2: provider.api_key_file: key: \(expected)")
    }

    @Test func unreadableFile() throws {
        let directory = fixture.directory.path
        #expect(
            try fixture.problem("provider: {api_key_file: \(directory)/none}\n")
                == "config.yaml:1: provider.api_key_file: none: cannot be read: No such file or directory")
        let problem = try fixture.problem { try fixture.load(environment: ["PROVIDER_API_KEY_FILE": "/dev/null"]) }
        #expect(
            problem == """
                environment variable PROVIDER_API_KEY_FILE: provider.api_key_file: /dev/null: cannot be read: expected a \
                regular file, found a device
                """)
    }

    @Test func bothAreAnError() throws {
        let path = try file("sk-1")
        let problem = "provider.api_key_file: expected this or provider.api_key, found both; the other is in "
        let both = "provider:\n  api_key: s3cret\n  api_key_file: \(path)\n"
        #expect(try fixture.problem(both) == "config.yaml:3: \(problem)config.yaml:2")
        // A file that contradicts itself is an error even where the environment would decide.
        #expect(
            try fixture.problem(both, environment: ["PROVIDER_API_KEY": "a"])
                == "config.yaml:3: \(problem)config.yaml:2")
        let environment = ["PROVIDER_API_KEY": "s3cret", "PROVIDER_API_KEY_FILE": path]
        #expect(
            try fixture.problem { try fixture.load(environment: environment) }
                == """
                environment variable PROVIDER_API_KEY_FILE: \(problem)environment variable PROVIDER_API_KEY
                """)
        // Empty is not given.
        _ = try fixture.load("provider: {api_key: '', api_key_file: \(path)}\n")
        _ = try fixture.load("provider: {api_key: a, api_key_file: ''}\n")
    }

    @Test func theEnvironmentDecides() throws {
        let path = try file("from-file")
        let key = try fixture.load(
            "provider: {api_key_file: /none}\n", environment: ["PROVIDER_API_KEY": "from-environment"])
        #expect(key.configuration.provider.apiKey == Secret("from-environment"))
        #expect(key.configuration.provider.apiKeyFile.isEmpty)
        let keyFile = try fixture.load("provider: {api_key: a}\n", environment: ["PROVIDER_API_KEY_FILE": path])
        #expect(keyFile.configuration.provider.apiKey == Secret("from-file"))
        // An empty variable takes nothing away from the other way.
        let empty = try fixture.load("provider: {api_key_file: \(path)}\n", environment: ["PROVIDER_API_KEY": ""])
        #expect(empty.configuration.provider.apiKey == Secret("from-file"))
    }

    @Test func filesEveryoneCanReadAreWarnedOf() throws {
        let path = fixture.directory.path
        let configuration = try fixture.load("provider: {api_key: a}\n", mode: 0o644)
        #expect(
            configuration.warnings == [
                """
                \(path)/config.yaml: holds provider.api_key and every user can read it; run chmod 640 \(path)/config.yaml, \
                with the service's group
                """
            ])
        #expect(try fixture.load("provider: {api_key: a}\n", mode: 0o640).warnings.isEmpty)
        #expect(try fixture.load("provider: {api_key: ''}\n", mode: 0o644).warnings.isEmpty)
        let key = try file("a", mode: 0o604)
        let keyFile = try fixture.load("provider: {api_key_file: \(key)}\n", mode: 0o644)
        #expect(
            keyFile.warnings == [
                "\(key): holds provider.api_key and every user can read it; run chmod 640 \(key), with the service's group"
            ])
    }

    /// Every way to get the key wrong; `s3cret` stands for it.
    @Test(arguments: [
        "provider: {api_key: 's3 s3cret'}", "provider: {api_key: s3cret\u{E9}}", "provider: {api_key: [s3cret]}",
        "provider: {api_key: {s3cret: 1}}", "provider: {api_key: {s3cret: 1, s3cret: 1}}", "provider: {api_key:s3cret}",
        "provider:\n  api_key s3cret\n", "provider:\n  api_key:s3cret\n  url: http://a\n", "provider: s3cret",
        "provider: [api_key, s3cret]", "api_key: s3cret", "apikey: s3cret", "provider: {apikey: s3cret}", "s3cret",
        "provider: {api_key: s3cret, api_key: s3cret}", "provider: {api_key: *s3cret}",
        "provider: {api_key: &s3cret a}",
        "provider: {api_key: !s3cret a}", "provider: {api_key: '@s3cret", "provider: {api_key: @s3cret}",
        "provider: {api_key: \"\\qs3cret\"}", "provider: {api_key: s3cret", "provider:\n\tapi_key: s3cret\n",
        "provider: {api_key: s3cret, api_key_file: /a}", "provider: {api_key: s3cret}\nlog: {level: x}",
        "provider: {url: 'http://user:s3cret@host'}", "provider: {url: 'http:/user:s3cret@host'}",
        "provider: {url: 'http://host/?key=s3cret'}", "provider: {api_key: a\n\u{1}s3cret}", "api_key=s3cret: 1",
    ])
    func neverShown(_ document: String) throws {
        let problem = try #require(try fixture.problem(document))
        #expect(!problem.contains("s3cret"), "\(problem)")
    }

    @Test func neverDescribed() throws {
        let loaded = try fixture.load("provider: {api_key: s3cret}\n", mode: 0o644)
        var dumped = ""
        dump(loaded, to: &dumped)
        #expect(!"\(loaded) \(dumped) \(String(reflecting: loaded))".contains("s3cret"))
    }
}
