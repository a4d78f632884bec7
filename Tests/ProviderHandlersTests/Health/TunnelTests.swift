import TestSupport
import Testing

@testable import ProviderHandlers

/// Asking the programs that know a public URL, and the log's lines about it.
@Suite struct TunnelTests {
    private func tunnel(_ configure: (inout Configuration) -> Void) -> (Tunnel, RecordingLog) {
        var configuration = Configuration()
        configure(&configuration)
        let log = RecordingLog()
        return (
            Tunnel(
                http: HTTPClient(proxied: false), ngrok: configuration.ngrok, cloudflare: configuration.cloudflare,
                logger: log.logger), log
        )
    }

    /// An ngrok agent, or cloudflared, with a given response.
    private func agent(_ path: String, status: Int = 200, _ body: String) throws -> ScriptedServer {
        try ScriptedServer { request in
            #expect(request.target == path)
            #expect(request.head["Accept-Encoding"] == "identity")
            try request.respond(status, body)
        }
    }

    private let two = #"""
        {"tunnels":[{"name":"a","public_url":"http://x.ngrok.app","proto":"http"},
        {"name":"b","public_url":"https://x.ngrok.app","proto":"https"}],"uri":"/api/tunnels"}
        """#

    @Test func configuredURLsNeedNoAgent() {
        let (tunnel, log) = tunnel {
            $0.ngrok.url = "https://mine.example"
            $0.ngrok.api = "http://127.0.0.1:1"
            $0.cloudflare.url = "https://other.example"
            $0.cloudflare.metrics = "http://127.0.0.1:1"
        }
        let expected = PublicURLs(ngrok: "https://mine.example", cloudflare: "https://other.example")
        #expect(tunnel.lastKnown == expected)
        #expect(tunnel.urls(within: .seconds(1)) == expected)
        #expect(log.lines.isEmpty)
    }

    @Test func theAgentsHTTPSTunnel() async throws {
        try await onThread {
            let agent = try agent("/api/tunnels", two)
            let (tunnel, log) = tunnel { $0.ngrok.api = agent.url }
            #expect(tunnel.urls(within: .seconds(30)) == PublicURLs(ngrok: "https://x.ngrok.app"))
            #expect(tunnel.lastKnown == PublicURLs(ngrok: "https://x.ngrok.app"))
            #expect(log.lines.isEmpty)
        }
    }

    @Test(arguments: [
        (200, #"{"tunnels":[]}"#, " has no https tunnel"), (500, "", " responded with 500"),
        (200, "[]", " responded with something other than a list of tunnels"),
        (
            200, #"{"tunnels":[{"name":"a\u001b[31m","public_url":"tcp://x:1"}]}"#,
            " has no https tunnel, only \"a\u{FFFD}[31m\""
        ),
    ])
    func noTunnel(status: Int, body: String, cause: String) async throws {
        try await onThread {
            let agent = try agent("/api/tunnels", status: status, body)
            let (tunnel, log) = tunnel {
                $0.ngrok.api = agent.url
                // Of no account where the agent has responded.
                $0.cloudflare.url = "https://other.example"
            }
            for _ in 0..<3 { #expect(tunnel.urls(within: .seconds(30)).ngrok == "") }
            #expect(log.lines == ["warning: no public URL to report: ngrok agent at \(agent.url)\(cause)"])
        }
    }

    /// Once, and again when the reason is another, or when there was a URL in between.
    @Test func noAgentIsAWarningOnce() async throws {
        try await onThread {
            let body = SharedValue("")
            let agent = try ScriptedServer { try $0.respond(200, body.value) }
            agent.stop()
            let (tunnel, log) = tunnel { $0.ngrok.api = agent.url }
            for _ in 0..<3 { #expect(tunnel.urls(within: .seconds(30)).ngrok == "") }
            #expect(log.lines.count == 1)
            #expect(
                log.lines.first?.hasPrefix("warning: no public URL to report: ngrok agent at \(agent.url): ") == true)
            try agent.start()
            for _ in 0..<3 { #expect(tunnel.urls(within: .seconds(30)).ngrok == "") }
            #expect(log.lines.count == 2)
            body.value = two
            #expect(tunnel.urls(within: .seconds(30)).ngrok == "https://x.ngrok.app")
            body.value = ""
            #expect(tunnel.urls(within: .seconds(30)).ngrok == "")
            #expect(tunnel.lastKnown.ngrok == "")
            #expect(log.lines.count == 3)
        }
    }

    /// With Cloudflare's tunnel no ngrok is needed.
    @Test(arguments: [true, false])
    func aMissingAgentBesideCloudflareIsNoWarning(isURL: Bool) async throws {
        try await onThread {
            let quick = try agent("/quicktunnel", #"{"hostname":"a-b.trycloudflare.com"}"#)
            let agent = try ScriptedServer { _ in }
            agent.stop()
            let (tunnel, log) = tunnel {
                $0.ngrok.api = agent.url
                if isURL {
                    $0.cloudflare.url = "https://a-b.trycloudflare.com"
                } else {
                    $0.cloudflare.metrics = quick.url
                }
            }
            let urls = tunnel.urls(within: .seconds(30))
            #expect(urls == PublicURLs(ngrok: "", cloudflare: "https://a-b.trycloudflare.com"))
            #expect(quick.requests.count == (isURL ? 0 : 1))
            #expect(log.lines.allSatisfy { $0.hasPrefix("debug: ") })
        }
    }

    @Test(arguments: [
        (200, #"{"hostname":""}"#, " runs no quick tunnel: set cloudflare.url to the tunnel's URL"),
        (404, "404 page not found", " responded with 404"), (200, "OK", " responded without the name of a tunnel"),
        (200, #"{"hostname":"a b"}"#, " responded with a tunnel name that is not a host name"),
    ])
    func noQuickTunnel(status: Int, body: String, cause: String) async throws {
        try await onThread {
            let quick = try agent("/quicktunnel", status: status, body)
            let (tunnel, log) = tunnel {
                $0.ngrok.url = "https://mine.example"
                $0.cloudflare.metrics = quick.url
            }
            #expect(tunnel.lastKnown.cloudflare == "")
            for _ in 0..<2 {
                #expect(
                    tunnel.urls(within: .seconds(30)) == PublicURLs(ngrok: "https://mine.example", cloudflare: ""))
            }
            #expect(log.lines == ["warning: no public URL to report: cloudflared at \(quick.url)\(cause)"])
        }
    }
}
