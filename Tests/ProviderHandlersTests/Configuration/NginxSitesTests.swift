import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// The machines that nginx's files let reach the endpoints.
@Suite("Configuration: nginx's sites")
struct NginxSitesTests {
    private static let endpoint = "location = /busy { fastcgi_pass unix:/run/provider-client/fcgi.sock; }"

    private static func judge(_ http: String, _ configure: (inout Configuration.Server) -> Void = { _ in })
        -> NginxSites.Finding
    {
        var server = Configuration.Server()
        configure(&server)
        return NginxSites.judge(NginxDirective.parse("http {\n\(http)\n}", file: "f"), server)
    }

    @Test(arguments: [
        "listen 80;", "listen *:8080;", "listen 0.0.0.0:80;", "listen 192.0.2.1:443 ssl;",
        "listen [::]:80 ipv6only=off;",
        "listen 10.0.0.1;", "listen example.org:80;", "listen '80';", "listen 127.0.0.1:80; listen 443 ssl;",
        "listen 80; auth_basic off;", "listen 80; ssl_verify_client optional;", "listen\n#{\n80;",
        "listen 8080-8090;", "listen 0.0.0.0:8080-8090;", "listen [::]:8080-8090;", "listen example.org:8080-8090;",
    ])
    func othersReachIt(listen: String) {
        guard case .open(let addresses) = Self.judge("server { \(listen) \(Self.endpoint) }") else {
            Issue.record("\(listen)")
            return
        }
        #expect(addresses.count == 1)
        #expect(addresses[0].hasSuffix(" (f:2)"))
    }

    @Test(arguments: [
        "listen 127.0.0.1:8080;", "listen localhost:80;", "listen [::1]:80;", "listen 127.0.0.2;", "listen unix:/a:b;",
        "listen 127.0.0.1:8080-8090;", "listen [::1]:8080-8090;", "listen localhost:8080-8090;",
        "listen 80; deny all;", "listen 80; auth_basic a;", "listen 80; ssl_verify_client on;",
        "listen 80; auth_request /a;", "# listen 80;\nlisten 127.0.0.1:80;",
    ])
    func othersDoNot(listen: String) {
        #expect(Self.judge("server { \(listen) \(Self.endpoint) }") == .closed)
    }

    @Test func nothingIsKnownOfOtherSites() {
        for http in [
            "", "server { listen 80; }", "server { listen 80; # \(Self.endpoint)\n }",
            "server { listen 80; location / { fastcgi_pass unix:/run/php.sock; } }",
            "server { listen 80; \(Self.endpoint)",
        ] where !http.hasSuffix(Self.endpoint) {
            #expect(Self.judge(http) == .unknown, "\(http)")
        }
        #expect(Self.judge("server { \(Self.endpoint) }", { $0.socket = "/elsewhere" }) == .unknown)
    }

    @Test func nginxsDefaultIsEveryAddress() {
        #expect(Self.judge("server {\n\(Self.endpoint) }") == .open(["*:80 (f:2)"]))
    }

    @Test func theWorkersAddressMayBeAnUpstreams() {
        let upstream = "upstream a { server 127.0.0.1:9000; } server { listen 80; location / { fastcgi_pass a; } }"
        #expect(Self.judge(upstream) { $0.socket = "" } == .open(["80 (f:2)"]))
        #expect(Self.judge(upstream) == .unknown)
    }

    /// Braces, quotation marks and semicolons that mean nothing, as real configurations have them.
    @Test func tokensAreNginxs() {
        let text = """
            log_format a '{"a;b":"$c"}'; map $a $b { "~^(?<x>[^ ?]+) {" $x; default ""; }
            if ($a ~ "^x{2};$") { return 200 "{\\"a\\":1}"; } set $c ${d}e;
            """
        let directives = NginxDirective.parse(text, file: "f")
        #expect(directives.map(\.name) == ["log_format", "map", "if", "set"])
        #expect(directives[0].words == ["log_format", "a", #"{"a;b":"$c"}"#])
        #expect(directives[1].block.map(\.words) == [["~^(?<x>[^ ?]+) {", "$x"], ["default", ""]])
        #expect(directives[2].block.map(\.words) == [["return", "200", #"{"a":1}"#]])
        #expect(directives[3].words == ["set", "$c", "${d}e"])
        #expect(directives.map(\.place) == ["f:1", "f:1", "f:2", "f:2"])
    }

    @Test(arguments: [
        "{{{{", "}", "\"", "a \\", "a{b;", ";;", "a;}b;", "${", "a ${b", String(repeating: "a{", count: 1000),
    ])
    func anythingEnds(text: String) {
        _ = NginxDirective.parse(text, file: "f")
    }

    /// The shipped files, included as Debian's nginx does.
    @Test func includesAreFollowed() throws {
        let directory = try TemporaryDirectory()
        for name in ["snippets", "sites-enabled", "conf.d"] {
            try FileManager.default.createDirectory(
                atPath: directory.path + "/" + name, withIntermediateDirectories: true)
        }
        try directory.write(
            "http { include conf.d/*.conf; include \(directory.path)/sites-enabled/*; include gone.conf; }\n",
            to: "nginx.conf")
        for name in ["locations", "worker", "limits", "tunnel", "log", "errors", "headers"] {
            try directory.write(
                try Repository.read("nginx/provider-\(name).conf"), to: "snippets/provider-\(name).conf")
        }
        try directory.write(try Repository.read("nginx/provider-http.conf"), to: "conf.d/00-provider-http.conf")
        let configuration = Configuration()
        func warning(_ change: (inout Configuration) -> Void = { _ in }) -> String? {
            var changed = configuration
            change(&changed)
            return NginxSites.warning(changed, directory: directory.path)
        }
        #expect(warning() == nil)
        try directory.write(try Repository.read("nginx/provider.conf"), to: "sites-enabled/provider-client")
        #expect(NginxSites.look(configuration.server, directory: directory.path) == .closed)
        #expect(warning() == nil)
        try directory.write(
            "server {\n listen 443 ssl;\n include snippets/provider-locations[.]conf;\n}\n", to: "sites-enabled/own")
        #expect(
            warning() == """
                provider.hmac is optional, and nginx listens on 443 (\(directory.path)/sites-enabled/own:2), which other machines \
                can reach: anyone there can use the GPU without an HMAC; set provider.hmac to required
                """)
        #expect(warning { $0.provider.hmac = .required } == nil)
        // A file that includes itself ends.
        try directory.write("include nginx.conf; http { include nginx.conf; }\n", to: "nginx.conf")
        #expect(warning() == nil)
    }
}
