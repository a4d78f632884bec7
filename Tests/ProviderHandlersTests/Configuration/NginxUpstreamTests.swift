import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// Both sides have to name the same engine.
struct NginxUpstreamTests {
    private static func compare(_ url: String, _ server: String) -> NginxUpstream.Finding {
        let text = """
            # upstream provider_engine { server 192.0.2.1:1; }
            upstream other { server 192.0.2.2:80; }
            upstream provider_engine {
                server \(server);  # server 192.0.2.3:1;
                keepalive 64;
            }
            upstream another { server 192.0.2.4:80; }
            """
        return NginxUpstream.compare(url, text, place: "file")
    }

    @Test(arguments: [
        ("http://localhost:11434", "127.0.0.1:11434"), ("http://127.0.0.1:11434", "localhost:11434"),
        ("http://[::1]:11434", "localhost:11434 max_fails=0"), ("http://gpu.example", "GPU.example:80"),
        ("http://192.0.2.9:8000", "\"192.0.2.9:8000\""), ("http://192.0.2.9", "192.0.2.9"),
    ])
    func theSame(url: String, server: String) {
        #expect(Self.compare(url, server) == .agrees)
    }

    @Test(arguments: [
        ("http://localhost:11434", "127.0.0.1:11435"), ("http://192.0.2.9", "192.0.2.8"),
        ("http://localhost:11434", "127.0.0.1:11434; server 127.0.0.1:1"), ("http://localhost:11434", "127.0.0.1"),
        ("https://localhost:11434", "127.0.0.1:11434"), ("http://localhost:11434/base", "127.0.0.1:11434"),
        ("http://[::1]:11434", "127.0.0.1:11434"), ("http://127.0.0.1:11434", "[::1]:11434"),
        ("http://127.0.0.2:11434", "127.0.0.1:11434"), ("http://localhost:11434", "127.0.0.2:11434"),
    ])
    func notTheSame(url: String, server: String) {
        guard case .disagrees = Self.compare(url, server) else {
            Issue.record("\(url) and \(server) were taken for the same")
            return
        }
    }

    /// `localhost` is either address: it matters once the engine listens at one of them alone.
    @Test(arguments: [
        ("127.0.0.1", ["[::1]"], false), ("[::1]", ["127.0.0.1"], false), ("127.0.0.1", ["127.0.0.1"], true),
        ("127.0.0.1", ["127.0.0.1", "[::1]"], true), ("127.0.0.1", [], true), ("localhost", ["[::1]"], true),
    ])
    func localhostIsWhereTheEngineListens(server: String, listening: [String], isAgreed: Bool) {
        let finding = NginxUpstream.compare(
            "http://localhost:11434", "upstream provider_engine { server \(server):11434; }", place: "file"
        ) { host, port in port == 11_434 && listening.contains(host) }
        #expect((finding == .agrees) == isAgreed)
    }

    @Test func theKernelKnowsTheListeners() throws {
        let socket = try ListeningSocket()
        #expect(NginxUpstream.isListening("127.0.0.1", port: socket.port))
        #expect(!NginxUpstream.isListening("127.0.0.1", port: 0))
        #expect(!NginxUpstream.isListening("[::1]", port: 0))
    }

    /// The file that the package does not replace: it may be older than the worker.
    @Test func aHandoffFileThatSetsNoHostIsNamed() throws {
        let directory = try TemporaryDirectory()
        for name in ["conf.d", "snippets"] {
            try FileManager.default.createDirectory(
                atPath: directory.path + "/" + name, withIntermediateDirectories: false)
        }
        var configuration = Configuration()
        configuration.ollama.forward = .nginx
        configuration.ollama.url = "http://192.0.2.1:1"
        let upstream = try directory.write(
            "upstream provider_engine { server 192.0.2.1:1; }", to: "conf.d/provider-upstream.conf")
        #expect(NginxUpstream.check(configuration, path: upstream) == .agrees)
        try directory.write("location @engine {\n# proxy_set_header Host x;\n}", to: "snippets/provider-handoff.conf")
        guard case .unknown(let problem) = NginxUpstream.check(configuration, path: upstream) else {
            Issue.record("nothing is said")
            return
        }
        #expect(problem.contains("snippets/provider-handoff.conf: sets no Host"))
        try directory.write(
            "location @engine { proxy_set_header Host $x; }", to: "snippets/provider-handoff.conf")
        #expect(NginxUpstream.check(configuration, path: upstream) == .agrees)
    }

    @Test func aFileWithoutTheUpstream() {
        #expect(
            NginxUpstream.compare("http://localhost:11434", "upstream other { server localhost:11434; }", place: "file")
                == .disagrees("file: there is no server in an upstream provider_engine"))
    }

    @Test func theShippedFileAgreesWithTheDefault() throws {
        var configuration = Configuration()
        configuration.ollama.forward = .nginx
        #expect(
            NginxUpstream.check(configuration, path: Repository.root + "/nginx/provider-upstream.conf") == .agrees)
    }

    @Test func aFileThatIsNamedHasToBeThere() {
        var configuration = Configuration()
        #expect(NginxUpstream.check(configuration, path: "/nowhere") == .agrees)
        configuration.ollama.forward = .nginx
        #expect(
            NginxUpstream.check(configuration, path: "/nowhere")
                == .disagrees("ollama.forward is nginx, and /nowhere cannot be read: No such file or directory"))
    }
}
