import Foundation
import TestSupport
import Testing

/// nginx/ in an operator's existing server block, with its own headers, locations and log.
@Suite struct NginxIncludeTests {
    private static let hsts = "Strict-Transport-Security"
    private static let addsHSTS = #"add_header Strict-Transport-Security "max-age=31536000" always;"#

    /// Every file that a server block can include, by context.
    private static let serverFiles = ["headers", "limits", "tunnel", "log", "errors"]

    /// nginx with the operator's site instead of the shipped site.
    ///
    /// - Parameters:
    ///   - http: in front of the server block.
    ///   - files: what the server block includes besides the endpoints.
    private static func nginx(
        _ socket: String, http: String = "", files: [String] = [], server: String = "", after: String = "",
        engine: String? = nil, rate: String = "100r/s"
    ) async throws -> NginxServer {
        let reservation = try PortReservation()
        let prefix = try await NginxServer.prefix(port: reservation.port, workerSocket: socket, engine: engine)
        let zones = try Repository.read("nginx/provider-http.conf")
        try prefix.write(zones.replacing("rate=100r/s", with: "rate=\(rate)"), to: "conf.d/00-provider-http.conf")
        try prefix.write(
            """
            \(http)
            server {
                listen 127.0.0.1:\(reservation.port);
                server_name example.org;
                access_log own.log;
            \(server)
            \(files.map { "    include snippets/provider-\($0)[.]conf;\n" }.joined())
                location ~ ^/v1/.*$ { return 418; }
                location ~* \\.php$ { return 418; }
                location ~ /\\. { return 418; }
                location ^~ /v1/chat { return 418; }
                location / { return 418; }
                location = /own { return 204; }
                include snippets/provider-locations[.]conf;
            \(after)
            }

            """, to: "sites-enabled/provider.conf")
        return try await NginxServer(prefix, on: reservation)
    }

    private static let noWorker = "/nowhere/fcgi.sock"
    private static let completion = "/v1/chat/completions"

    /// Whatever else matches: the operator's locations come first in the block.
    @Test(arguments: [[], serverFiles])
    func theEndpointsAreThereAmongOtherLocations(files: [String]) async throws {
        let deployment = try await Deployment()
        let nginx = try await Self.nginx(deployment.socket, files: files)
        for (path, arguments) in [
            ("/busy", []), ("/health", []), (Self.completion, ["-d", "{}"]), ("/v1/completions", ["-d", "{}"]),
        ] {
            let response = try await curl([nginx.url + path] + arguments)
            #expect(response.status == (path == "/health" ? 503 : 200), "\(path)")
        }
        for path in ["/v1/models", "/v1/chat", "/v1/chat/completions/", "/busy/", "/busyx", "/BUSY", "/a.php"] {
            #expect(try await curl(nginx.url + path).status == 418, "\(path)")
        }
        #expect(try await curl(nginx.url + "/own").status == 204)
    }

    /// nginx inherits add_header only into a location without add_header.
    @Test(arguments: [true, false], [[], ["limits", "errors"], serverFiles])
    func theServersOwnHeadersStay(areTheServers: Bool, files: [String]) async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_HMAC": "required"])
        // Beside the operator's own lines, wherever these are.
        let files = files.filter { areTheServers || $0 != "headers" }
        let nginx = try await Self.nginx(
            deployment.socket, http: areTheServers ? "" : Self.addsHSTS, files: files,
            server: areTheServers ? Self.addsHSTS : "")
        func ask(_ path: String, _ arguments: [String] = [], status: Int, code: String? = nil) async throws
            -> CurlResponse
        {
            let response = try await curl([nginx.url + path] + arguments)
            #expect(response.status == status, "\(path)")
            if let code { #expect(response.errorCode == code) }
            #expect(response.headers(Self.hsts) == ["max-age=31536000"], "\(path)")
            return response
        }
        let body = ["-d", "{}"]
        let hmac = ["-H", "X-Inferoute-HMAC: a"]
        for response in [
            try await ask("/busy", status: 200), try await ask(Self.completion, body + hmac, status: 200),
            try await ask(Self.completion, body, status: 401, code: "missing_hmac"),
            try await ask("/busy", body, status: 405, code: "method_not_allowed"),
        ] {
            #expect(response.headers("X-Request-Id").map(\.count) == [32])
        }
        #expect(try await ask("/own", status: 204).headers("X-Request-Id") == [])
        deployment.worker.send(signal: SIGKILL)
        try await eventually("the worker has gone") { deployment.worker.ended != nil }
        let unavailable = try await ask("/busy", status: 503, code: "worker_unavailable")
        // nginx's own response has the provider's headers where their lines count.
        let hasHeaders = files.contains("headers") || !areTheServers
        #expect(unavailable.headers("Retry-After") == (hasHeaders ? ["1"] : []))
        #expect(unavailable.headers("X-Request-Id").map(\.count) == (hasHeaders ? [32] : []))
        let own = try await ask("/own", status: 204)
        for name in ["X-Request-Id", "Retry-After", "Allow"] { #expect(own.headers(name) == []) }
    }

    /// With `ollama.forward: nginx` the worker's head does not reach the client.
    @Test(arguments: ["", addsHSTS])
    func handoffKeepsThemToo(server: String) async throws {
        let deployment = try await Deployment(
            forward: "nginx", engine: { try $0.respond(200, "{}", headers: ["X-Request-Id: the-engines"]) })
        let nginx = try await Self.nginx(
            deployment.socket, http: server.isEmpty ? Self.addsHSTS : "",
            files: server.isEmpty ? [] : ["headers"], server: server, engine: "127.0.0.1:\(deployment.engine.port)")
        for status in [200, 502] {
            let response = try await curl(nginx.url + Self.completion, "-d", "{}")
            #expect(response.status == status)
            #expect(response.headers(Self.hsts) == ["max-age=31536000"])
            #expect(response.headers("X-Request-Id").map(\.count) == [32])
            deployment.engine.stop()
        }
    }

    @Test func limitsAreForTheEndpointsAlone() async throws {
        let deployment = try await Deployment()
        let nginx = try await Self.nginx(deployment.socket, files: ["limits", "headers"], rate: "1r/m")
        try await onThread {
            func status(_ path: String) throws -> Int {
                try HTTPProbe.fetch(port: nginx.port, "GET", path).status
            }
            // Above the burst of 200.
            for _ in 0..<210 { #expect(try status("/own") == 204) }
            #expect(try status("/busy") == 200)
            for _ in 0..<210 { _ = try status("/busy") }
            let refused = try HTTPProbe.fetch(port: nginx.port, "GET", "/busy")
            #expect(refused.status == 429)
            #expect(refused.head["Retry-After"] == "1")
            #expect(refused.body.contains(#""code":"rate_limited""#))
            #expect(try status("/own") == 204)
        }
    }

    /// The operator's own limits, with nginx's default status.
    @Test func anOwnLimitRefusesInJSON() async throws {
        let deployment = try await Deployment()
        let nginx = try await Self.nginx(
            deployment.socket, http: "limit_req_zone $binary_remote_addr zone=own:1m rate=1r/m;",
            server: "    limit_req zone=own;")
        #expect(try await curl(nginx.url + "/busy").status == 200)
        let refused = try await curl(nginx.url + "/busy")
        #expect(refused.status == 429)
        #expect(refused.errorCode == "rate_limited")
        #expect(try await curl(nginx.url + "/own").status == 204)
    }

    /// The server's own log goes on; the provider's comes in addition, where it is included.
    @Test(arguments: [true, false])
    func theServersOwnLogStays(hasLog: Bool) async throws {
        let nginx = try await Self.nginx(Self.noWorker, files: hasLog ? ["log"] : [])
        _ = try await curl(nginx.url + "/busy?key=secret")
        try await eventually("it is logged") { nginx.log("own.log").contains("GET /busy") }
        let entry = nginx.accessLog
        #expect(entry.contains(#""path":"/busy","status":"503""#) == hasLog)
        #expect(!entry.contains("secret"))
    }

    @Test func errorsInJSONAreOptional() async throws {
        let without = try await Self.nginx(Self.noWorker)
        let with = try await Self.nginx(Self.noWorker, files: ["errors", "headers"], server: Self.addsHSTS)
        for (arguments, status, code) in [
            (["-X", "TRACE"], 405, "method_not_allowed"), (["-H", "Host;"], 400, "bad_request"),
            (["-H", "X: " + String(repeating: "x", count: 40_000)], 431, "header_too_large"),
        ] {
            #expect(try await curl([without.url + "/own"] + arguments).header("Content-Type") == "text/html")
            let response = try await curl([with.url + "/own"] + arguments)
            #expect(response.status == status)
            #expect(response.errorCode == code)
            #expect(response.headers(Self.hsts) == ["max-age=31536000"])
            #expect(response.headers("X-Request-Id").map(\.count) == [32])
            #expect(response.header("Allow") == (status == 405 ? "GET, HEAD, POST" : nil))
        }
    }

    /// Two server blocks, and the shipped site beside them: what a zone or a format is, one file says once.
    @Test func severalServersIncludeTheFiles() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: Self.noWorker)
        let includes = (Self.serverFiles + ["locations"]).map { "include snippets/provider-\($0)[.]conf;" }
        for port in [8081, 8082] {
            try prefix.write(
                "server { listen 127.0.0.1:\(port); \(includes.joined(separator: " ")) }",
                to: "sites-enabled/\(port).conf")
        }
        let check = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        #expect(try await check.waitForExit() == .status(0), "\(check.standardError)")
        #expect(!check.standardError.contains("conflicting"))
    }

    /// As a purge leaves it: no file of the package, and the sites that include them.
    @Test func nginxStartsWithoutAnyOfTheFiles() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: Self.noWorker)
        let includes = (Self.serverFiles + ["locations"]).map { "include snippets/provider-\($0)[.]conf;" }
        try prefix.write(
            "server { listen 127.0.0.1:8081; \(includes.joined(separator: " ")) }", to: "sites-enabled/own.conf")
        for directory in ["snippets", "conf.d"] {
            for file in try FileManager.default.contentsOfDirectory(atPath: prefix.path + "/" + directory) {
                try FileManager.default.removeItem(atPath: prefix.path + "/\(directory)/\(file)")
            }
        }
        let check = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        #expect(try await check.waitForExit() == .status(0), "\(check.standardError)")
    }

    /// A copy of the site as it was before its parts were files, with the zones and texts in it.
    @Test func aCopyOfTheOldSiteStillWorks() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: Self.noWorker)
        let texts = ["not_found", "method_not_allowed", "header_too_large"].map {
            "location = /.provider-client/\($0) { internal; return 200 'x'; }"
        }
        try prefix.write(
            """
            map $request $provider_client_method { "~^(?<provider_client_method_only>\\\\S+) " $provider_client_method_only; }
            map $request $provider_client_path { "~^\\\\S+ (?<provider_client_path_only>[^ ?]+)" $provider_client_path_only; }
            limit_req_zone $binary_remote_addr zone=provider_client_requests:10m rate=100r/s;
            limit_conn_zone $binary_remote_addr zone=provider_client_connections:1m;
            log_format provider_client '$provider_client_method $provider_client_path';
            server {
                listen 127.0.0.1:8080;
                limit_req zone=provider_client_requests burst=200 nodelay;
                limit_conn provider_client_connections 256;
                access_log access.log provider_client;
                include snippets/provider-locations[.]conf;
                error_page 404 /.provider-client/not_found;
            \(texts.joined(separator: "\n"))
            }
            """, to: "sites-enabled/provider.conf")
        let check = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        #expect(try await check.waitForExit() == .status(0), "\(check.standardError)")
    }

    /// No header of the provider's own takes the server's away, now or later.
    @Test func onlyOneFileAddsHeaders() throws {
        for file in try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/nginx") {
            // A server of its own, which nobody includes.
            guard file.hasSuffix(".conf"), file != "provider-status.conf" else { continue }
            let lines = try Repository.read("nginx/" + file).components(separatedBy: "\n")
            let adding = lines.filter { $0.contains("add_header") && !$0.hasPrefix("#") && !$0.contains("# ") }
            // At the outermost level, where the operator's own server block can have others.
            #expect(adding.allSatisfy { $0.hasPrefix("add_header ") }, "\(file): \(adding)")
            #expect(adding.isEmpty || ["fleet.conf", "provider-headers.conf"].contains(file))
        }
    }

    /// The package and the container have every file, and the documentation names it.
    @Test func everyFileIsInstalled() throws {
        let installed = try Repository.read("debian/provider-client.install") + Repository.read("debian/rules")
        let document = try Repository.read("docs/DEPLOY.md")
        for file in try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/nginx") {
            // On request only.
            if ["fleet.conf", "provider-handoff.conf", "provider-upstream.conf"].contains(file) { continue }
            #expect(installed.contains("nginx/" + file), "\(file)")
            #expect(try Repository.read("Dockerfile").contains("nginx/" + file), "\(file)")
            #expect(document.contains(file), "\(file)")
        }
        for file in ["README.md", "docs/DEPLOY.md", "nginx/provider-locations.conf", "nginx/provider.conf"] {
            #expect(try Repository.read(file).contains("provider.hmac: required"), "\(file)")
        }
    }
}
