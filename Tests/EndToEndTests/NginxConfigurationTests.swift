import Foundation
import TestSupport
import Testing

/// nginx/ as real nginx takes it, and what nginx responds where the worker has no say.
struct NginxConfigurationTests {
    private static func check(_ prefix: TemporaryDirectory) async throws -> (exit: ChildProcess.Exit, text: String) {
        let nginx = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        return (try await nginx.waitForExit(), nginx.standardError)
    }

    @Test func nginxAcceptsTheSite() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        let (exit, text) = try await Self.check(prefix)
        #expect(exit == .status(0), "\(text)")
        #expect(!text.contains("[warn]") || getuid() != 0, "\(text)")
    }

    @Test func nginxAcceptsTheIncludeInAServerBlockOfSomebodyElse() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try prefix.write(
            """
            server {
                listen 127.0.0.1:8080;
                server_name example.org;
                include snippets/provider-locations[.]conf;
                location / { root html; }
            }
            """, to: "sites-enabled/provider.conf")
        let (exit, text) = try await Self.check(prefix)
        #expect(exit == .status(0), "\(text)")
    }

    /// As a purge of the package leaves a copy of the site, and a site of somebody else's with the documented include.
    @Test func nginxStartsWithoutTheInclude() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try FileManager.default.removeItem(atPath: prefix.path + "/snippets/provider-locations.conf")
        let (exit, text) = try await Self.check(prefix)
        #expect(exit == .status(0), "\(text)")
        for file in ["docs/DEPLOY.md", "nginx/provider-locations.conf"] {
            #expect(try Repository.read(file).contains("include snippets/provider-locations[.]conf;"), "\(file)")
        }
    }

    /// An error page without a body would be an empty response, and a body without an error page is never sent.
    @Test(arguments: ["client", "fleet"])
    func everyErrorPageHasABody(site: String) throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/nginx")
        let text = try files.filter { $0.hasSuffix(".conf") && ($0 == "fleet.conf") == (site == "fleet") }
            .map { try Repository.read("nginx/" + $0) }.joined(separator: "\n")
            .replacing("engine_$provider_engine_failure", with: "engine_full /.provider-client/engine_unreachable")
        func names(_ lines: String) throws -> Set<String> {
            let name = try Regex(#"/\.provider-\#(site)/([a-z_]+)"#, as: (Substring, Substring).self)
            return Set(lines.matches(of: name).map { String($0.1) })
        }
        let pages = text.split(separator: "\n").filter { $0.contains(/^ *error_page\b/) }
        let bodies = try #require(text.split(separator: "map $uri $provider_\(site)_error {").dropFirst().first)
        let map = try #require(bodies.split(separator: "\n}").first)
        #expect(try names(pages.joined(separator: "\n")) == names(String(map)))
        #expect(try names(String(map)).count == (site == "fleet" ? 9 : 12))
    }

    @Test func aMistakeWouldBeFound() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try prefix.write("fastcgi_passe nowhere;", to: "snippets/provider-locations.conf")
        #expect(try await Self.check(prefix).exit != .status(0))
    }

    private static let noWorker = "/nowhere/fcgi.sock"

    @Test(arguments: [
        "/", "/v1", "/v1/models", "/v1/completions/", "/health/x", "/busy%0A", "/.provider-client/not_found",
    ])
    func otherPathsAreNotFound(path: String) async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let response = try await curl(nginx.url + path)
        #expect(response.status == 404)
        #expect(response.errorCode == "not_found")
        #expect(response.header("Content-Type") == "application/json")
    }

    @Test(arguments: ["/health", "/busy", "/v1/chat/completions", "/v1/completions"])
    func withoutAWorkerTheFourAreUnavailable(path: String) async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let response = try await curl(nginx.url + path, "--data-binary", "{}")
        #expect(response.status == 503)
        #expect(response.errorCode == "worker_unavailable")
        #expect(response.header("Retry-After") == "1")
        #expect(response.header("Content-Type") == "application/json")
        #expect(response.header("X-Request-Id")?.count == 32)
    }

    @Test func aBodyOverTheLimitIsRefused() async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let directory = try TemporaryDirectory()
        let file = try directory.write(String(repeating: " ", count: 33_554_433), to: "body")
        let response = try await curl(nginx.url + "/v1/completions", "--data-binary", "@" + file)
        #expect(response.status == 413)
        #expect(response.errorCode == "body_too_large")
        // Not found comes first.
        let other = try await curl(nginx.url + "/v1/models", "--data-binary", "@" + file)
        #expect(other.status == 404)
        #expect(other.errorCode == "not_found")
    }

    /// A body without a declared length; nginx counts, and the worker is never asked.
    @Test func aChunkedBodyOverTheLimitIsRefused() async throws {
        let deployment = try await Deployment()
        let directory = try TemporaryDirectory()
        for (count, status) in [(33_554_432, 200), (33_554_433, 413)] {
            let file = try directory.write(String(repeating: " ", count: count), to: "body")
            let response = try await curl(
                deployment.nginx.url + "/v1/completions", "-H", "Transfer-Encoding: chunked", "--data-binary",
                "@" + file)
            #expect(response.status == status)
            #expect(response.errorCode == (status == 413 ? "body_too_large" : nil))
        }
        #expect(deployment.engine.requests.count == 1)
        #expect(deployment.worker.standardError.count("path=") == 1)
    }

    @Test func aBodyAtTheLimitIsNotRefused() async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let directory = try TemporaryDirectory()
        let file = try directory.write(String(repeating: " ", count: 33_554_432), to: "body")
        let response = try await curl(nginx.url + "/v1/completions", "--data-binary", "@" + file)
        #expect(response.errorCode == "worker_unavailable")
    }

    @Test(arguments: [
        (["-X", "TRACE"], 405, "method_not_allowed"),
        (["-H", "Transfer-Encoding: nonsense", "-d", "x"], 501, "bad_request"),
        (["-H", "Host;"], 400, "bad_request"),
        (["-H", "X: " + String(repeating: "x", count: 40_000)], 431, "header_too_large"),
    ])
    func nginxRefusesInJSON(arguments: [String], status: Int, code: String) async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let response = try await curl([nginx.url + "/health"] + arguments)
        #expect(response.status == status)
        #expect(response.errorCode == code)
    }

    @Test func aLongRequestLineIsRefusedInJSON() async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let response = try await curl(nginx.url + "/" + String(repeating: "x", count: 40_000))
        #expect(response.status == 414)
        #expect(response.errorCode == "header_too_large")
    }

    @Test func theAccessLogKeepsSecrets() async throws {
        let nginx = try await NginxServer(workerSocket: Self.noWorker)
        let response = try await curl(
            nginx.url + "/v1/completions?key=in-the-query", "-H", "X-Inferoute-HMAC: in-the-hmac", "-H",
            "Authorization: Bearer in-the-authorization", "-H", "Cookie: a=in-the-cookie", "-d", "in-the-body", "-H",
            "User-Agent: quote \" backslash \\")
        // Written after the response has been sent.
        try await eventually("the line is written") { nginx.accessLog.hasSuffix("\n") }
        let line = nginx.accessLog
        #expect(!line.contains("in-the-"))
        let entry = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(entry["method"] as? String == "POST")
        #expect(entry["path"] as? String == "/v1/completions")
        #expect(entry["status"] as? String == "503")
        #expect(entry["worker_status"] as? String == "502")
        #expect(entry["agent"] as? String == "quote \" backslash \\")
        #expect(entry["id"] as? String == response.header("X-Request-Id"))
    }
}
