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
    ])
    func notTheSame(url: String, server: String) {
        guard case .disagrees = Self.compare(url, server) else {
            Issue.record("\(url) and \(server) were taken for the same")
            return
        }
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
