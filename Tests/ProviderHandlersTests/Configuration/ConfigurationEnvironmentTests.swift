import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("Configuration: environment")
struct ConfigurationEnvironmentTests {
    @Test(arguments: [
        ("PROVIDER_SERVER_PORT", "abc", "server.port: expected a whole number from 1 to 65535, found \"abc\""),
        ("PROVIDER_GPU_BUSY_POLICY", "al", "gpu.busy_policy: expected any or all, found \"al\"; did you mean all?"),
        (
            "PROVIDER_GPU_DEVICES", "0,,1",
            "gpu.devices: expected a list of positions (0, 1, …) or UUIDs (GPU-…, MIG-…), each once, found \"[0, , 1]\""
        ),
        (
            "PROVIDER_GPU_DEVICES", " ",
            "gpu.devices: expected a list of positions (0, 1, …) or UUIDs (GPU-…, MIG-…), each once, found \"[]\""
        ),
        (
            "PROVIDER_API_KEY", "two words",
            "provider.api_key: expected visible ASCII characters without blanks or quotation marks, found a value that is not shown"
        ),
    ])
    func errors(_ name: String, _ text: String, _ expected: String) throws {
        let fixture = try ConfigurationFixture()
        let problem = try fixture.problem { try fixture.load(environment: [name: text]) }
        #expect(problem == "environment variable \(name): \(expected)")
    }

    @Test func anEmptyVariableClearsAKeyThatMayBeEmpty() throws {
        let file =
            "server: {socket: /a, socket_group: b}\nngrok: {url: 'http://a'}\ngpu: {devices: [0]}\nprovider: {api_key: a}\n"
        let names = ["SERVER_SOCKET", "SERVER_SOCKET_GROUP", "NGROK_URL", "GPU_DEVICES", "API_KEY"]
        let environment = Dictionary(uniqueKeysWithValues: names.map { ("PROVIDER_" + $0, "") })
        var expected = Configuration()
        expected.server.socket = ""
        #expect(try ConfigurationFixture().load(file, environment: environment).configuration == expected)
    }

    /// As a container's `PORT=${PORT:-}` leaves it.
    @Test func emptySaysNothingElsewhere() throws {
        let empty = [
            "", "socket", "socket_group", "api_key", "api_key_file", "url", "devices", "tunnel", "metrics",
            "scoreboard",
        ]
        let keys = ConfigurationSchema.keys.filter { !empty.contains($0.name) || $0.path == "provider.url" }
        let environment = Dictionary(uniqueKeysWithValues: keys.map { ($0.variable, "") })
        let fixture = try ConfigurationFixture()
        let loaded = try fixture.load("server: {port: 7}\n", environment: environment)
        var expected = Configuration()
        expected.server.port = 7
        #expect(loaded.configuration == expected)
        #expect(loaded.warnings.isEmpty)
    }

    @Test func unknownVariables() throws {
        let loaded = try ConfigurationFixture().load(environment: [
            "PROVIDER_SERVER_PRT": "s3cret", "PROVIDER_PROVIDER_URL": "s3cret", "PROVIDER_ZZZ": "s3cret",
            "PROVIDER_APIKEY": "s3cret", "PROVIDERS": "s3cret", "provider_url": "s3cret", "PROVIDER_CONFIG": "",
        ])
        #expect(
            loaded.warnings == [
                "environment variable PROVIDER_APIKEY: there is no such setting; did you mean PROVIDER_API_KEY?",
                "environment variable PROVIDER_PROVIDER_URL: there is no such setting; did you mean PROVIDER_URL?",
                "environment variable PROVIDER_SERVER_PRT: there is no such setting; did you mean PROVIDER_SERVER_PORT?",
                "environment variable PROVIDER_ZZZ: there is no such setting",
            ])
        #expect(loaded.configuration == Configuration())
    }

    /// One at a time: nothing in the table is near enough to another key to matter here, and each must be found.
    @Test(arguments: ConfigurationSchema.keys.map(\.variable))
    func aLetterLeftOutIsFound(_ variable: String) throws {
        var misspelt = variable
        misspelt.remove(at: misspelt.index(misspelt.endIndex, offsetBy: -2))
        let warnings = try ConfigurationFixture().load(environment: [misspelt: "x"]).warnings
        #expect(warnings == ["environment variable \(misspelt): there is no such setting; did you mean \(variable)?"])
    }
}
