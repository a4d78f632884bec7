import Testing

@testable import ProviderHandlers

@Suite struct SiteCheckTests {
    private func response(_ status: Int, _ body: String, id: Bool = true) -> Result<HTTPResponse, HTTPError> {
        let headers = [HTTPHeader("Server", "nginx")] + (id ? [HTTPHeader("X-Request-Id", "1")] : [])
        return .success(HTTPResponse(head: .init(status: status, headers: headers), body: Array(body.utf8)))
    }

    @Test func kinds() {
        #expect(SiteReply.kind(of: response(200, #"{"busy":true,"reason":"gpu_unknown"}"#)) == .worker)
        let page = #"{"error":{"code":"worker_unavailable"}}"#
        #expect(SiteReply.kind(of: response(503, page)) == .nginx(code: "worker_unavailable"))
        let others = [
            response(200, #"{"busy":true}"#, id: false), response(200, "<html>"), response(404, "not found"),
            response(503, #"{"error":{"code":"overloaded"}}"#),
        ]
        for other in others {
            guard case .other = SiteReply.kind(of: other) else {
                Issue.record("\(other)")
                continue
            }
        }
    }

    private func finding(
        _ kind: SiteReply.Kind, files: NginxFiles = .unknown("nginx -T needs root"),
        handoff: NginxUpstream.Finding = .agrees, worker: [Finding] = []
    ) -> Finding.Status {
        SiteCheck(url: "http://s", reply: SiteReply(kind: kind), files: files, handoff: handoff)
            .finding(Configuration(), worker: worker).status
    }

    @Test func findings() {
        let dead = [Finding.fail(.workerRunning, "nobody accepts", fix: "start")]
        #expect(finding(.worker) == .ok)
        #expect(finding(.failed(.unreachable("refused"))) == .fail)
        #expect(finding(.failed(.timedOut("total"))) == .fail)
        #expect(finding(.failed(.timedOut("total")), worker: dead) == .skip)
        #expect(finding(.other("a page")) == .fail)
        #expect(finding(.nginx(code: "worker_unavailable"), worker: dead) == .ok)
        #expect(finding(.nginx(code: "worker_unavailable")) == .fail)
        #expect(finding(.nginx(code: "rate_limited")) == .ok)
        #expect(finding(.worker, handoff: .disagrees("other engine")) == .fail)
        #expect(finding(.worker, handoff: .unknown("cannot be read")) == .warn)
    }

    /// What `nginx -T` prints of a main file and a site in sites-enabled.
    private func judge(http: String = "", site: String) -> NginxFiles {
        NginxFiles.judge(
            """
            # configuration file /etc/nginx/nginx.conf:
            http { \(http) include sites-enabled/*; }
            # configuration file /etc/nginx/sites-enabled/site:
            \(site)
            # configuration file /etc/nginx/snippets/worker.conf:
            fastcgi_pass unix:/run/provider-client/fcgi.sock;
            # configuration file /etc/nginx/unused:
            server { location /y { fastcgi_pass unix:/run/provider-client/fcgi.sock; } }
            """, .init())
    }

    @Test(arguments: [
        ("32m", "660s", Finding.Status.ok), ("16m", "660s", .warn), ("33554432", "11m", .ok), ("32m", "600s", .warn),
        ("32m", "601", .ok), ("0", "660s", .warn),
    ])
    func limits(body: String, time: String, expected: Finding.Status) {
        let limits = "client_max_body_size \(body); fastcgi_read_timeout \(time);"
        let include = "include snippets/worker.conf;"
        // In the place itself, around it, and at the top.
        let sites = [
            judge(site: "server { location /x { \(include) \(limits) } }"),
            judge(site: "server { \(limits) location /x { \(include) } }"),
            judge(http: limits, site: "server { location /x { \(include) } }"),
            judge(http: "client_max_body_size 1k;", site: "server { \(limits) location /x { \(include) } }"),
        ]
        for files in sites { #expect(finding(.worker, files: files) == expected, "\(files)") }
    }

    @Test func nginxsDefaultsCount() {
        let files = judge(site: "server { location /x { include snippets/worker.conf; } }")
        #expect(files == .limits([.defaults]))
        #expect(finding(.worker, files: files) == .warn)
        guard case .unknown = judge(site: "server { }") else {
            Issue.record("a site was found")
            return
        }
    }

    @Test func eachPlaceIsJudgedAndAnUpstreamIsFollowed() {
        let good = "client_max_body_size 32m; fastcgi_read_timeout 660s;"
        let files = judge(
            http: "upstream worker { server unix:/run/provider-client/fcgi.sock; }",
            site: """
                server { \(good) location /a { include snippets/worker.conf; } }
                server { \(good) location /b { fastcgi_pass worker;
                client_max_body_size 2m; } }
                """)
        let saw = files.difference(from: .init())?.saw
        #expect(saw?.contains("2097152 bytes (/etc/nginx/sites-enabled/site:3),") == true, "\(saw ?? "")")
    }

    @Test func aConfigurationThatNginxRefusesWarns() {
        let words = #"nginx: [emerg] unknown directive "x" in /etc/nginx/nginx.conf:1"#
        let said = "2026/11/27 00:03:49 [warn] 1#1: conflicting server name\n\(words)\nnginx: test failed\n"
        #expect(NginxFiles.failed(said, isRoot: true) == .invalid(words))
        #expect(finding(.worker, files: NginxFiles.failed(said, isRoot: false)) == .ok)
        #expect(finding(.worker, files: .invalid(words)) == .warn)
    }

    @Test func aLargeBody() {
        func finding(_ trouble: SiteCheck.BodyTrouble) -> Finding.Status {
            SiteCheck(
                url: "http://s", reply: SiteReply(kind: .worker), files: .unknown("needs root"), bodyTrouble: trouble
            ).finding(Configuration(), worker: []).status
        }
        #expect(finding(.notKept(bytes: 1)) == .fail)
        #expect(finding(.refused(bytes: 1)) == .warn)
    }

    @Test func theStatusPagesAge() {
        #expect(SiteCheck.sampleAge(in: Array(#"{"gpu":{"sample_age_seconds":0.25}}"#.utf8)) == 0.25)
        #expect(SiteCheck.sampleAge(in: Array(#"{"gpu":{"sample_age_seconds":null}}"#.utf8)) == nil)
        #expect(SiteCheck.sampleAge(in: Array("<html>".utf8)) == nil)
    }
}
