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

    @Test(arguments: [
        ("32m", "660s", Finding.Status.ok), ("16m", "660s", .warn), ("33554432", "11m", .ok), ("32m", "600s", .warn),
        ("32m", "601", .ok),
    ])
    func limits(body: String, time: String, expected: Finding.Status) {
        let dump = """
            # configuration file /etc/nginx/nginx.conf:
            http { client_max_body_size 1m; include snippets/*; }
            # configuration file /etc/nginx/snippets/provider-worker.conf:
            fastcgi_pass unix:/run/provider-client/fcgi.sock;
            client_max_body_size \(body);
            fastcgi_read_timeout \(time);
            """
        #expect(finding(.worker, files: NginxFiles.judge(dump, .init())) == expected)
    }

    @Test func aPlaceWithoutLimitsIsNotJudged() {
        let dump =
            "# configuration file a:\nserver { location /x { fastcgi_pass unix:/run/provider-client/fcgi.sock; } }"
        #expect(NginxFiles.judge(dump, .init()) == .limits([.init(file: "a")]))
        #expect(finding(.worker, files: NginxFiles.judge(dump, .init())) == .ok)
        guard case .unknown = NginxFiles.judge("# configuration file a:\nhttp { }", .init()) else {
            Issue.record("a site was found")
            return
        }
    }

    @Test func eachPlaceIsJudged() {
        let dump = """
            # configuration file /etc/nginx/snippets/provider-worker.conf:
            fastcgi_pass unix:/run/provider-client/fcgi.sock;
            client_max_body_size 32m;
            # configuration file /etc/nginx/sites-enabled/mine:
            server { location /x { fastcgi_pass unix:/run/provider-client/fcgi.sock; client_max_body_size 1m; } }
            """
        let difference = NginxFiles.judge(dump, .init()).difference(from: .init())
        #expect(difference?.saw.contains("1048576 bytes in /etc/nginx/sites-enabled/mine,") == true)
    }

    @Test func theStatusPagesAge() {
        #expect(SiteCheck.sampleAge(in: Array(#"{"gpu":{"sample_age_seconds":0.25}}"#.utf8)) == 0.25)
        #expect(SiteCheck.sampleAge(in: Array(#"{"gpu":{"sample_age_seconds":null}}"#.utf8)) == nil)
        #expect(SiteCheck.sampleAge(in: Array("<html>".utf8)) == nil)
    }
}
