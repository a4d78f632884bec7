import TestSupport
import Testing

@testable import ProviderHandlers

/// Who can reach the worker, and who can read what it says to the central system.
@Suite("Configuration: reach")
struct ReachTests {
    @Test(arguments: [
        ("localhost", true), ("LocalHost", true), ("127.0.0.1", true), ("127.255.255.254", true), ("::1", true),
        ("::ffff:127.0.0.1", true), ("0:0:0:0:0:0:0:1", true), ("0.0.0.0", false), ("::", false), ("128.0.0.1", false),
        ("10.0.0.1", false), ("::ffff:10.0.0.1", false), ("::127.0.0.1", false), ("1::1", false), ("127.1", false),
        ("localhost.", false), ("a.localhost", false), ("127.0.0.1.example", false), ("", false),
        ("0177.0.0.1", false), ("127.0.0.1 ", false),
    ])
    func whatIsLoopback(host: String, expected: Bool) {
        #expect(Loopback.contains(host) == expected)
    }

    @Test func aSocketThatOthersReachIsAnError() throws {
        let problem = try ConfigurationFixture().problem("server:\n  socket: \"\"\n  host: 0.0.0.0\n")
        #expect(
            problem == """
                config.yaml:3: server.host: "0.0.0.0" is not a loopback address, and anyone who can connect controls the \
                worker: use 127.0.0.1 or server.socket, or set server.allow_remote to true
                """)
        let loaded = try ConfigurationFixture().load("server: {socket: '', host: 0.0.0.0, allow_remote: true}\n")
        #expect(
            loaded.warnings == [
                """
                server.host: 0.0.0.0 is not a loopback address (server.allow_remote is true): make sure that only nginx \
                reaches port 9000
                """
            ])
    }

    @Test(arguments: ["\"true\"", "yes", "True", "1", "''", "[true]"])
    func permissionHasOneSpelling(text: String) throws {
        let problem = try ConfigurationFixture().problem("server: {allow_remote: \(text)}\n")
        #expect(problem?.contains("server.allow_remote: expected true or false, found") == true)
    }

    @Test(arguments: [
        ("http://central.example", true), ("http://10.0.0.1:8000/a", true), ("http://[2001:db8::1]:80", true),
        ("HTTP://central.example", true), ("http://localhost.example", true), ("https://central.example", false),
        ("http://localhost", false), ("http://127.0.0.1:8000/a", false), ("http://[::1]:80", false),
    ])
    func aKeyOverPlainHTTPIsWarnedOf(url: String, isWarned: Bool) throws {
        for (key, hasKey) in [("k-e-y", true), ("''", false)] {
            let loaded = try ConfigurationFixture().load("provider: {url: '\(url)', api_key: \(key)}\n")
            #expect(loaded.warnings.count == (isWarned && hasKey ? 1 : 0))
            #expect(
                loaded.warnings.allSatisfy {
                    $0.hasPrefix("provider.url: the API key goes over the network unencrypted to ")
                })
            #expect(!loaded.warnings.contains { $0.contains("k-e-y") })
        }
    }

    /// Wherever the key comes from.
    @Test func aKeyFromAFileIsAKey() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("k-e-y\n", to: "key", mode: 0o600)
        let credential = try directory.write("k-e-y\n", to: "api_key", mode: 0o600)
        for environment in [
            ["PROVIDER_API_KEY_FILE": file], ["CREDENTIALS_DIRECTORY": String(credential.dropLast("/api_key".count))],
            ["PROVIDER_API_KEY": "k-e-y"],
        ] {
            let loaded = try ConfigurationFixture().load(
                "provider: {url: 'http://a.example'}\n", environment: environment)
            #expect(loaded.warnings.count == 1)
        }
    }
}
