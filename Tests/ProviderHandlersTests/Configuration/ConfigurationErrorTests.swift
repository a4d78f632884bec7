import TestSupport
import Testing

@testable import ProviderHandlers

private let serverKeys =
    "socket, socket_group, host, port, allow_remote, max_in_flight, max_body_bytes, scoreboard or drain_timeout"
private let providerKeys = "api_key, api_key_file, url, type, hmac, hmac_header or report_timeout"
private let sections = "server, ollama, provider, ngrok, cloudflare, gpu or log"
private let url = "an http:// or https:// URL with a host, without user, query or fragment"
private let seconds = "seconds above 0 and at most 86400"
private let devices = "a list of positions (0, 1, …) or UUIDs (GPU-…, MIG-…), each once"
private let socket = #"an absolute path of at most 107 bytes, or "" for server.host and server.port"#
private let header = "a header name of letters, digits and hyphens without another meaning"
private let levels = "trace, debug, info, notice, warning, error or critical"

@Suite("Configuration: errors")
struct ConfigurationErrorTests {
    @Test(arguments: [
        // Keys.
        ("server:\n  prot: 1\n", "2: server.prot: unknown key, expected \(serverKeys); did you mean port?"),
        ("\nservr:\n", "2: servr: unknown key, expected \(sections); did you mean server?"),
        ("host: 1\n", "1: host: unknown key, expected \(sections); did you mean server.host?"),
        ("port: 1\n", "1: port: unknown key, expected \(sections)"),
        ("url: 1\n", "1: url: unknown key, expected \(sections)"),
        ("provider: {level: x}\n", "1: provider.level: unknown key, expected \(providerKeys); did you mean log.level?"),
        ("log:\n  zzz: 1\n", "2: log.zzz: unknown key, expected level or format"),
        ("log:\n  <<: {}\n", "2: log.…: unknown key, expected level or format"),
        ("log:\n  '': 1\n", "2: log.…: unknown key, expected level or format"),
        (
            "server:\n  port: 1\n  host: a\n  port: 1\n",
            "4: server.port: expected once, given again; the first is in line 2"
        ),
        ("log:\n\nlog:\n", "3: log: expected once, given again; the first is in line 1"),
        (
            "log:\n  level: {a: 1, a: 2}\n",
            "2: log.level: expected each key in it once, found one again; the first is in line 2"
        ),
        (
            "log:\n  level: [{'a': 1, a: 2}]\n",
            "2: log.level: expected each key in it once, found one again; the first is in line 2"
        ),
        // Wrong types.
        ("hello\n", "1: expected keys (\(sections)), found a single value"),
        ("- log\n", "1: expected keys (\(sections)), found a list"),
        ("log: info\n", "1: log: expected keys (level or format), found a single value"),
        ("log: [level]\n", "1: log: expected keys (level or format), found a list"),
        ("log:\n  ? [level]\n  : info\n", "2: log: expected a key, found a list"),
        ("log: {level: [info]}\n", "1: log.level: expected \(levels), found a list"),
        ("log:\n  level:\n    info: 1\n", "3: log.level: expected \(levels), found a mapping"),
        (
            "server: {port: '9000'}\n",
            "1: server.port: expected a whole number from 1 to 65535, found \"9000\" in quotes, which make it text"
        ),
        ("server: {port: yes}\n", "1: server.port: expected a whole number from 1 to 65535, found \"yes\""),
        ("gpu: {devices: 0}\n", "1: gpu.devices: expected \(devices), found \"0\""),
        ("gpu: {devices: [[0]]}\n", "1: gpu.devices: expected \(devices), found a list of lists or mappings"),
        ("gpu: {devices: {a: 0}}\n", "1: gpu.devices: expected \(devices), found a mapping"),
        // Choices.
        ("gpu:\n  busy_policy: some\n", "2: gpu.busy_policy: expected any or all, found \"some\""),
        ("log: {level: warn}\n", "1: log.level: expected \(levels), found \"warn\"; did you mean warning?"),
        ("log: {level: INFO}\n", "1: log.level: expected \(levels), found \"INFO\"; did you mean info?"),
        (
            "provider: {hmac: requird}\n",
            "1: provider.hmac: expected optional or required, found \"requird\"; did you mean required?"
        ),
        // YAML itself.
        (
            "log: &a {level: info}\n",
            "1: log: expected a value, found an anchor; a value that starts with & needs quotes"
        ),
        ("log: *a\n", "1: log: expected a value, found an alias; a value that starts with * needs quotes"),
        ("*a : 1\n", "1: expected a value, found an alias; a value that starts with * needs quotes"),
        (
            "log: {level: !!str info}\n",
            "1: log.level: expected a value, found a tag; a value that starts with ! needs quotes"
        ),
        ("log: !x [a]\n", "1: log: expected a value, found a tag; a value that starts with ! needs quotes"),
        ("--- {}\n---\n{}\n", "2: expected one document, found a second"),
        ("log: [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]\n", "1: log: expected a configuration, found too many levels"),
        (
            "log:\n\tlevel: info\n",
            "2: not valid YAML: found character that cannot start any token (while scanning for the next token); YAML is indented with spaces, never with tabs"
        ),
        (
            "a: 'b\n\nc",
            "3: not valid YAML: found unexpected end of stream (while scanning a quoted scalar that starts in line 1)"
        ),
        ("log:\n  level: a: b\n", "2: not valid YAML: mapping values are not allowed in this context"),
        ("a: b\n\nc: \u{1}\n", "3: not UTF-8 text: control characters are not allowed"),
        ("a: b\n\0", "2: not UTF-8 text: control characters are not allowed"),
    ])
    func message(_ document: String, _ expected: String) throws {
        #expect(try ConfigurationFixture().problem(document) == "config.yaml:\(expected)")
    }

    @Test(arguments: [
        ("server.socket", socket, ["relative", "'@abstract'", "/" + String(repeating: "a", count: 107), #""/a\0b""#]),
        ("server.socket_group", #"the name of a group, or """#, [#""a\nb""#]),
        ("server.host", "a host name or address", ["''", "a b", "hôte"]),
        (
            "server.port", "a whole number from 1 to 65535",
            ["0", "65536", "-1", "+1", "09", "0x1F", "1.0", "99999999999999999999", "1_0"]
        ),
        ("server.max_in_flight", "a whole number from 1 to 4096", ["0", "4097", "all"]),
        ("server.max_body_bytes", "a whole number from 1 to 1099511627776", ["0", "32M", "1099511627777"]),
        (
            "server.drain_timeout", seconds,
            ["0", "0.0", "-1", "86400.0001", "86401", "1.", ".", "1e3", "5s", "1.5.5", ".inf", ".nan", "1:30"]
        ),
        (
            "ollama.url", url,
            [
                "''", "localhost:11434", "ftp://a", "http:/a", "http://", "http:///a", "http://a b", "http://a:0",
                "http://a:65536",
                "'http://a:'", "http://a:b", "http://a#b", "http://[::1", "http://[::g]", "http://[1.2.3.4]",
                "http://[::1]x", "http://-",
                "http://é", "http://a/é", "\"http://a/\\n\"", "http://a\\b",
            ]
        ),
        ("ollama.connect_timeout", seconds, ["0"]),
        ("ollama.first_byte_timeout", seconds, ["0"]),
        ("ollama.idle_timeout", seconds, ["0"]),
        ("provider.api_key_file", #"an absolute path, or """#, ["key", "~/key"]),
        ("provider.url", url, ["central"]),
        ("provider.type", "the name of a kind of engine", ["''"]),
        ("provider.hmac", "optional or required", ["off"]),
        (
            "provider.hmac_header", header,
            [
                "''", "X HMAC", "\"X:\"", "X_HMAC", "X.HMAC", "Ü", "Content-Type", "content-length", "USER-AGENT",
                "Host", "Accept",
            ]
        ),
        ("ngrok.url", url + #", or """#, ["a.ngrok-free.app"]),
        ("ngrok.api", url, ["''"]),
        ("ngrok.port", "a whole number from 1 to 65535", ["0", "65536", "'8080'", "''"]),
        ("ngrok.tunnel", #"the name of a tunnel, or """#, ["[a]", #""a\nb""#]),
        ("cloudflare.url", url + #", or """#, ["a.trycloudflare.com"]),
        ("cloudflare.metrics", url + #", or """#, ["127.0.0.1:20241", "http://a?b"]),
        ("provider.report_timeout", "seconds above 0 and at most 86400", ["0", "'60'", "-1", "86401", "1m"]),
        ("gpu.nvidia_smi", "the name or path of a program", ["''"]),
        ("gpu.nvidia_smi_timeout", seconds, ["0", "86401", "5s"]),
        ("gpu.busy_threshold", "a whole number from 0 to 100", ["-1", "101", "20%"]),
        (
            "gpu.devices", devices,
            ["[-1]", "[GPU-]", "[a]", "[0, 0]", "[MIG-a, MIG-a]", "['']", "[~]", "[01]", "[GPU-a b]"]
        ),
        ("gpu.sample_interval", seconds, ["0"]),
        ("gpu.max_sample_age", seconds, ["0"]),
    ])
    func values(_ key: String, _ expected: String, _ values: [String]) throws {
        let parts = key.split(separator: ".")
        let fixture = try ConfigurationFixture()
        for value in values {
            let problem = try fixture.problem("\(parts[0]):\n  \(parts[1]): \(value)\n") ?? "none"
            #expect(problem.hasPrefix("config.yaml:2: \(key): expected \(expected), found "), "\(value): \(problem)")
        }
    }

    @Test func onlyTheFirstProblemIsReported() throws {
        let problem = try ConfigurationFixture().problem("log: {level: a}\nserver: {port: b}\n")
        #expect(problem == "config.yaml:1: log.level: expected \(levels), found \"a\"")
    }

    @Test func invalidUTF8() throws {
        let fixture = try ConfigurationFixture()
        for (bytes, line) in [
            ([0xFF, 0xFE, 0x61, 0x00], 1), ([0x61, 0x0A, 0xC3, 0x28], 2), ([0x0A, 0x0A, 0xED, 0xA0, 0x80], 3),
        ] {
            let path = try fixture.directory.write(bytes: bytes.map(UInt8.init), to: "config.yaml")
            let problem = try #require(try fixture.problem { try fixture.load(path: path) })
            #expect(problem.hasPrefix("config.yaml:\(line): not UTF-8 text: "))
        }
    }

    @Test func messagesAreOneShortLine() throws {
        let fixture = try ConfigurationFixture()
        let long = String(repeating: "x", count: 5000)
        for document in [
            #"log: {level: "a\nb\e[31m"}"#, "log: {level: \(long)}", "? \(long)\n: 1\n",
            "log: {level: \"a\u{202E}b\u{2028}c\"}",
        ] {
            let problem = try #require(try fixture.problem(document))
            #expect(problem.utf8.count < 500)
            #expect(
                !problem.unicodeScalars.contains {
                    [.control, .format, .lineSeparator].contains($0.properties.generalCategory)
                })
        }
    }

    @Test func exitStatusIsEXCONFIG() {
        #expect(ConfigurationError.exitStatus == 78)
    }
}
