import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct TunnelTests {
    private func url(_ status: Int, _ body: String) throws -> (url: String, log: RecordingLog) {
        let agent = try ScriptedServer { request in
            #expect(request.target == "/api/tunnels")
            try request.answer(status, body)
        }
        let (tunnel, log) = tunnel { $0.api = agent.url }
        return (tunnel.url(within: .seconds(30)), log)
    }

    private func tunnel(_ configure: (inout Configuration.Ngrok) -> Void) -> (Tunnel, RecordingLog) {
        var configuration = Configuration.Ngrok()
        configure(&configuration)
        let log = RecordingLog()
        return (Tunnel(http: HTTPClient(proxied: false), ngrok: configuration, logger: log.logger), log)
    }

    @Test func theConfiguredOneIsNotAskedFor() {
        let (tunnel, log) = tunnel {
            $0.url = "https://mine.example"
            $0.api = "http://127.0.0.1:1"
        }
        #expect(tunnel.url(within: .seconds(1)) == "https://mine.example")
        #expect(log.lines.isEmpty)
    }

    @Test func theAgentsHTTPSTunnel() async throws {
        try await onThread {
            let body = #"""
                {"tunnels":[{"name":"a","public_url":"http://x.ngrok.app","proto":"http"},
                {"name":"b","public_url":"https://x.ngrok.app","proto":"https"}],"uri":"/api/tunnels"}
                """#
            let (url, log) = try url(200, body)
            #expect(url == "https://x.ngrok.app")
            #expect(log.lines.isEmpty)
        }
    }

    @Test(arguments: [
        (200, #"{"tunnels":[]}"#, "has no https tunnel"), (500, "", "answered 500"),
        (200, "[]", "answered with something that is no list of tunnels"),
    ])
    func noTunnel(status: Int, body: String, cause: String) async throws {
        try await onThread {
            let (url, log) = try url(status, body)
            #expect(url == "")
            #expect(log.count(containing: cause) == 1)
        }
    }

    @Test func noAgentIsAWarningOnce() async throws {
        try await onThread {
            let agent = try ScriptedServer { _ in }
            agent.stop()
            let (tunnel, log) = tunnel { $0.api = agent.url }
            for _ in 0..<3 { #expect(tunnel.url(within: .seconds(30)) == "") }
            #expect(log.lines.count == 1)
            #expect(log.lines.first?.hasPrefix("warning: no public URL to report: ngrok agent at \(agent.url)") == true)
        }
    }
}
