import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct TunnelCheckTests {
    private static func view(_ gpu: String, models: String = #"{"id":"m"}"#) -> WorkerView? {
        WorkerView(health: Array(#"{"data":[\#(models)],"gpu":\#(gpu),"provider_type":"ollama"}"#.utf8))
    }

    private static let here = view(#"{"gpus":[{"uuid":"GPU-1"}]}"#)
    private static let there = view(#"{"gpus":[{"uuid":"GPU-2"}]}"#)
    private static let cpu = view("null")

    private func check(
        kind: SiteReply.Kind = .worker, _ there: WorkerView?, here: WorkerView?, isTold: Bool = false,
        failed: CheckCode? = nil
    ) -> Finding.Status {
        let site = TunnelCheck.PublicSite(url: "https://p", reply: SiteReply(kind: kind, view: there), isTold: isTold)
        return TunnelCheck(sites: [site])
            .findings(SiteReply(kind: .worker, view: here), failed: failed)[1].status
    }

    @Test func gpusTellMachinesApart() {
        #expect(check(Self.here, here: Self.here) == .ok)
        #expect(check(Self.there, here: Self.here) == .fail)
        #expect(check(Self.cpu, here: Self.here) == .fail)
        #expect(check(Self.there, here: Self.cpu) == .fail)
    }

    /// Nothing is guessed: without GPUs only the agent's word is proof.
    @Test func withoutGPUs() {
        #expect(check(Self.cpu, here: Self.cpu) == .warn)
        #expect(check(Self.cpu, here: Self.cpu, isTold: true) == .ok)
        #expect(check(Self.view("null", models: ""), here: Self.cpu, isTold: true) == .fail)
        #expect(check(nil, here: Self.cpu) == .warn)
        let blind = WorkerView(
            health: Array(#"{"data":[{"id":"m"}],"gpu":null,"provider_type":"ollama","errors":["gpu: lost"]}"#.utf8))
        #expect(check(blind, here: blind) == .skip)
    }

    @Test func whatIsNotOurs() {
        #expect(check(kind: .other("a page"), nil, here: Self.here) == .fail)
        #expect(check(kind: .failed(.timedOut("connect")), nil, here: Self.here) == .fail)
        #expect(check(kind: .nginx(code: "rate_limited"), nil, here: Self.here) == .warn)
        #expect(check(kind: .other("a page"), nil, here: Self.here, failed: .nginxSite) == .skip)
    }

    @Test func noURL() {
        let none = TunnelCheck(sites: [], problems: ["ngrok agent: refused"], hasNoTunnel: true)
        #expect(none.findings(nil, failed: nil).map(\.status) == [.skip, .skip])
        let unclear = TunnelCheck(sites: [], problems: ["ngrok agent has two tunnels"])
        #expect(unclear.findings(nil, failed: nil).map(\.status) == [.warn, .skip])
    }

    /// As docs/CENTRAL.md advises: ngrok's URL is in cloudflare.url as well.
    @Test func oneURLInBothPlacesIsOneSite() async throws {
        let url = "https://tunnel.invalid"
        let agent = try ScriptedServer {
            try $0.respond(200, #"{"tunnels":[{"public_url":"\#(url)","proto":"https"}]}"#)
        }
        var configuration = Configuration()
        configuration.ngrok.api = agent.url
        configuration.cloudflare.url = url
        let given = configuration
        let check = try await onThread { TunnelCheck.look(given, HTTPClient(proxied: false), QuietLog()) }
        #expect(check.sites.map(\.url) == [url] && check.sites.allSatisfy(\.isTold))
    }
}
