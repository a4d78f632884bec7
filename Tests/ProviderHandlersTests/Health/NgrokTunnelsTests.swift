import Testing

@testable import ProviderHandlers

/// The agent's tunnel that leads here: another tunnel would send prompts elsewhere.
@Suite struct NgrokTunnelsTests {
    private func choice(_ body: String, name: String = "", port: Int = 8080) throws -> NgrokTunnels.Choice {
        try #require(NgrokTunnels(Array(body.utf8))).choice(name: name, port: port)
    }

    /// Entries as the agent writes them, each `name|public_url|addr`.
    private func list(_ entries: [String]) -> String {
        let objects = entries.map { entry in
            let parts = entry.split(separator: "|", omittingEmptySubsequences: false)
            return
                #"{"name":"\#(parts[0])","public_url":"\#(parts[1])","config":{"addr":"\#(parts[2])","inspect":true}}"#
        }
        return #"{"tunnels":[\#(objects.joined(separator: ","))],"uri":"/api/tunnels"}"#
    }

    private static let several = [
        "webui|https://web.ngrok-free.app|http://localhost:3000", "ssh|tcp://0.tcp.eu.ngrok.io:12345|localhost:22",
        "provider|https://provider.ngrok-free.app|http://localhost:8080",
    ]

    @Test(arguments: [
        ("", 8080, "https://provider.ngrok-free.app"), ("", 3000, "https://web.ngrok-free.app"),
        ("webui", 8080, "https://web.ngrok-free.app"), ("provider", 3000, "https://provider.ngrok-free.app"),
    ])
    func ofSeveral(name: String, port: Int, url: String) throws {
        #expect(try choice(list(Self.several), name: name, port: port) == .url(url))
    }

    @Test func ambiguousTunnelsAreNamed() throws {
        #expect(
            try choice(list(Self.several), port: 9090)
                == .none(
                    """
                    has 2 https tunnels, "webui", "provider", and none leads to port 9090: set ngrok.tunnel \
                    to a name, or ngrok.port to nginx's port
                    """))
        let twice = Self.several + ["again|https://again.ngrok-free.app|8080"]
        #expect(
            try choice(list(twice))
                == .none(
                    """
                    has 3 https tunnels, "webui", "provider", "again", and "provider", "again" lead to port 8080: \
                    set ngrok.tunnel to a name, or ngrok.port to nginx's port
                    """))
    }

    /// In containers nginx has a host name; this machine's own port comes first.
    @Test func theOnlyTunnelWithThePort() throws {
        let web = "web|https://web.ngrok-free.app|http://localhost:3000"
        let named = "named|https://named.ngrok-free.app|http://nginx:8080"
        #expect(try choice(list([web, named])) == .url("https://named.ngrok-free.app"))
        #expect(try choice(list(Self.several + [named])) == .url("https://provider.ngrok-free.app"))
        let other = "other|https://other.ngrok-free.app|http://192.168.1.7:8080"
        guard case .none = try choice(list([web, named, other])) else {
            Issue.record("one of two was taken")
            return
        }
    }

    /// Wherever it leads: nginx can be on another machine, or on another port.
    @Test func theOnlyOne() throws {
        #expect(try choice(list([Self.several[0], Self.several[1]])) == .url("https://web.ngrok-free.app"))
    }

    /// Endpoints that share a URL are one.
    @Test func oneURLTwice() throws {
        let pooled = ["a|https://x.ngrok.app|http://localhost:80", "b|https://x.ngrok.app|http://localhost:81"]
        #expect(try choice(list(pooled)) == .url("https://x.ngrok.app"))
    }

    @Test(arguments: [
        ("nothing", #"has no tunnel "nothing" (ngrok.tunnel), only "webui", "ssh", "provider""#),
        ("Provider", #"has no tunnel "Provider" (ngrok.tunnel), only "webui", "ssh", "provider""#),
        ("ssh", #"has no https URL for its tunnel "ssh" (ngrok.tunnel)"#),
    ])
    func aNameThatLeadsNowhere(name: String, reason: String) throws {
        #expect(try choice(list(Self.several), name: name) == .none(reason))
    }

    @Test func aNameOfTwo() throws {
        let both = ["a|http://x.ngrok.app|80", "a|https://x.ngrok.app|80"]
        #expect(try choice(list(both), name: "a") == .url("https://x.ngrok.app"))
        let different = ["a|https://y.ngrok.app|80", "a|https://x.ngrok.app|80"]
        #expect(try choice(list(different), name: "a") == .none(#"has several https tunnels "a" (ngrok.tunnel)"#))
        #expect(try choice(list([]), name: "a") == .none(#"has no tunnel "a" (ngrok.tunnel)"#))
    }

    /// Tunnels of an edge have labels and no URL; anything else odd costs only itself.
    @Test(arguments: [
        #"{"name":"edge","labels":{"edge":"edghts_x"},"config":{"addr":"http://localhost:8080"}}"#, "7", "null", "[]",
        #"{"name":7,"public_url":7,"config":7}"#, #"{"name":"a","public_url":"https://a b","config":{"addr":"8080"}}"#,
        #"{"public_url":"https://user:secret@a.example","config":{"addr":"8080"}}"#,
        #"{"public_url":"https://a\r\nX: 1","config":{"addr":"8080"}}"#, #"{"public_url":"https://","config":null}"#,
        #"{"public_url":"https://a.example/?a=b","config":{}}"#, #"{"public_url":"javascript:alert(1)"}"#,
    ])
    func anOddEntry(entry: String) throws {
        let good = #"{"name":"good","public_url":"https://good.ngrok.app","config":{"addr":8080}}"#
        for entries in [[entry, good], [good, entry]] {
            let body = #"{"tunnels":[\#(entries.joined(separator: ","))]}"#
            #expect(try choice(body) == .url("https://good.ngrok.app"))
        }
        guard case .none = try choice(#"{"tunnels":[\#(entry)]}"#) else {
            Issue.record("taken for a tunnel")
            return
        }
    }

    @Test(arguments: ["", "7", "[]", "{}", #"{"tunnels":7}"#, #"{"tunnels":{"a":1}}"#, "<html>"])
    func noList(body: String) {
        #expect(NgrokTunnels(Array(body.utf8)) == nil)
    }

    @Test func anEmptyList() throws {
        for body in [#"{"tunnels":[]}"#, #"{"tunnels":null}"#] {
            #expect(try choice(body) == .none("has no https tunnel"))
        }
    }

    @Test func namesAreShortAndFew() throws {
        let many = (0..<20).map { "n\($0)|tcp://a:1|1" } + [String(repeating: "n", count: 5000) + "|tcp://a:1|1"]
        guard case .none(let reason) = try choice(list(many.reversed())) else { return }
        #expect(reason.hasSuffix(" and 13 more"))
        #expect(reason.utf8.count < 400)
    }

    @Test(arguments: [
        "http://localhost:8080", "localhost:8080", "8080", ":8080", "https://localhost:8080", "http://localhost:8080/",
        "http://localhost:8080/path?a=b", "HTTP://LocalHost:8080", "127.0.0.1:8080", "http://127.1.2.3:8080",
        "[::1]:8080", "http://[::1]:8080/x", "0.0.0.0:8080", "http://[::]:8080", "provider.localhost:8080",
        "http://host.docker.internal:8080", "[::ffff:127.0.0.1]:8080",
    ])
    func leadsHere(address: String) throws {
        #expect(try #require(TunnelAddress(address)).leads(toPort: 8080))
        #expect(try #require(TunnelAddress(address)).leads(toPort: 80) == false)
    }

    /// Another machine's port is not known to be our nginx.
    @Test(arguments: [
        "http://192.168.1.7:8080", "nas:8080", "http://localhost:18080", "http://localhost", "https://localhost", "80",
        "localhost:80800", "localhost:", "localhost:8080x", "http://[2001:db8::1]:8080", "http://8080",
        "http://localhost:8081/:8080", "http://other:1/localhost:8080",
    ])
    func leadsElsewhere(address: String) {
        #expect(TunnelAddress(address)?.leads(toPort: 8080) != true)
    }

    @Test(arguments: ["file:///var/www:8080", "", "tcp://localhost:8080", "http://", "localhost:x", "::1:8080"])
    func isNoAddress(address: String) {
        #expect(TunnelAddress(address) == nil)
    }

    @Test(arguments: [("http://localhost", 80), ("https://localhost", 443), ("localhost", 80), ("https://a/b", 443)])
    func withoutAPort(address: String, port: Int) throws {
        #expect(try #require(TunnelAddress(address)).port == port)
    }
}

@Suite struct PublicURLTests {
    @Test(arguments: [
        ("https://a-b.ngrok-free.app", "https://a-b.ngrok-free.app"), ("HTTPS://a.example/", "https://a.example"),
        ("https://a.example:8443", "https://a.example:8443"), ("http://a.example", nil), ("tcp://a.example:1", nil),
        ("https://a b", nil), ("https://a\n", nil), ("https://a@b", nil), ("https://ä.example", nil), ("", nil),
        ("https://" + String(repeating: "a", count: 2000), nil),
    ])
    func https(text: String, expected: String?) {
        #expect(PublicURL.https(text) == expected)
    }

    @Test(arguments: ["a.trycloudflare.com", "Some-Words-1.TryCloudflare.com", "a.b", "xn--a.example"])
    func aHostName(host: String) {
        #expect(PublicURL.https(host: host) == "https://" + host)
    }

    @Test(arguments: [
        "", "localhost", "a..b", ".a.b", "a.b.", "-a.b", "a-.b", "a_b.c", "a b.c", "a.b/c", "a.b:80", "a.b@c.d",
        "127.0.0.1",
        "a.b\r\nX: 1", "a.b\0", "https://a.b", "ä.b", String(repeating: "a", count: 64) + ".b", "a.1",
        String(repeating: "a.", count: 130) + "b",
    ])
    func noHostName(host: String) {
        #expect(PublicURL.https(host: host) == nil)
    }
}
