import Foundation
import TestSupport
import Testing

/// Clients that take their time or send too much: the shipped configuration bounds what they hold.
@Suite struct SlowClientTests {
    /// As nginx itself understood the files.
    @Test func theShippedBounds() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        let nginx = try ChildProcess(NginxServer.executable, ["-T"] + NginxServer.arguments(prefix))
        #expect(try await nginx.waitForExit() == .status(0))
        let directives = nginx.standardOutput.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        for expected in [
            "client_header_timeout 15s;", "client_body_timeout 60s;", "send_timeout 60s;", "keepalive_timeout 75s;",
            "reset_timedout_connection on;", "client_max_body_size 32m;", "fastcgi_request_buffering on;",
            "limit_conn provider_connections 256;", "limit_req zone=provider_requests burst=200 nodelay;",
            "limit_req_zone $provider_client_limited zone=provider_requests:10m rate=100r/s;",
            "limit_conn_zone $provider_client_limited zone=provider_connections:1m;",
        ] {
            #expect(directives.contains(expected), "\(expected)")
        }
        // nginx's defaults, which nothing here changes: a request line and headers of 32 KiB at most.
        for unchanged in [
            "large_client_header_buffers", "client_header_buffer_size", "ignore_invalid_headers", "merge_slashes",
        ] {
            #expect(!directives.contains { $0.hasPrefix(unchanged) }, "\(unchanged)")
        }
    }

    /// A head that never ends holds a connection of nginx's for a while and nothing else.
    @Test(arguments: [
        "", "POST", "POST /v1/completions HTTP/1.1\r\n", "POST /v1/completions HTTP/1.1\r\nHost: a\r\nX: ",
    ])
    func aHeadThatNeverEnds(beginning: String) async throws {
        let deployment = try await Deployment(nginxReplacements: [
            ("client_header_timeout 15s;", "client_header_timeout 100ms;")
        ])
        try await onThread {
            let connection = try SocketConnection(port: deployment.nginx.port)
            try connection.send(beginning)
            try connection.waitForHangUp()
            #expect(!deployment.worker.standardError.contains("path="))
        }
    }

    /// A byte now and then does not help: the time is for the whole head.
    @Test func aHeadThatTrickles() async throws {
        let deployment = try await Deployment(nginxReplacements: [
            ("client_header_timeout 15s;", "client_header_timeout 300ms;")
        ])
        try await onThread {
            let connection = try SocketConnection(port: deployment.nginx.port)
            try connection.send("GET /busy HTTP/1.1\r\nHost: a\r\n")
            // Ends when nginx has closed, or resets.
            try deployment.waitUntil("nginx gives up") {
                do { try connection.send("X: y\r\n") } catch { return true }
                return false
            }
            #expect(!deployment.worker.standardError.contains("path="))
        }
    }

    /// The worker never hears of a body that is not there whole.
    @Test(arguments: ["Content-Length: 10\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"])
    func aBodyThatNeverEnds(rest: String) async throws {
        let deployment = try await Deployment(nginxReplacements: [
            ("client_body_timeout 60s;", "client_body_timeout 100ms;")
        ])
        try await onThread {
            let connection = try SocketConnection(port: deployment.nginx.port)
            try connection.send("POST /v1/completions HTTP/1.1\r\nHost: a\r\n\(rest)")
            try connection.waitForHangUp()
            try deployment.waitUntil("nginx has logged it") { deployment.nginx.accessLog.contains(#""status":"408""#) }
            #expect(!deployment.worker.standardError.contains("path="))
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    /// No directive of nginx bounds the whole time of a body with steady pieces. It holds one of its client's connections and
    /// nothing of the worker's, however long it takes.
    @Test func aBodyThatTricklesHoldsNothingElse() async throws {
        let deployment = try await Deployment(nginxReplacements: [
            ("client_body_timeout 60s;", "client_body_timeout 3s;")
        ])
        try await onThread {
            let connection = try SocketConnection(port: deployment.nginx.port)
            try connection.send("POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            let end = ContinuousClock.now + .milliseconds(4500)
            try deployment.waitUntil("it has taken longer than two pieces may be apart") {
                try connection.send("1\r\n \r\n")
                return ContinuousClock.now > end
            }
            #expect(!deployment.worker.standardError.contains("path="))
            #expect(deployment.engine.requests.isEmpty)
            try connection.send("0\r\n\r\n")
            #expect(try connection.readLine() == "HTTP/1.1 200 OK")
        }
    }

    /// Until the response, nginx keeps a body of more than 1 MiB in an unlinked file of its own. Other users cannot find the
    /// file, and it does not outlive a crash.
    @Test func otherUsersCannotOpenTheFileOfALargeBody() async throws {
        let finish = Gate()
        let deployment = try await Deployment(engine: { request in
            try finish.wait()
            try request.respond(200, "{}")
        })
        try await onThread {
            let probe = try deployment.startCompletion(String(repeating: " ", count: 2 * 1_048_576))
            try deployment.waitUntil("the engine is asked") { !deployment.engine.requests.isEmpty }
            let processes = Vitals.children(of: try #require(deployment.nginx.pid))
            let files = processes.flatMap { pid in
                let open = "/proc/\(pid)/fd/"
                let names = (try? FileManager.default.contentsOfDirectory(atPath: open)) ?? []
                return names.map { open + $0 }
            }
            let bodies = files.filter {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: $0))?.contains("/temp/body/") == true
            }
            #expect(bodies.count == 1)
            for body in bodies {
                var info = stat()
                #expect(stat(body, &info) == 0)
                #expect(info.st_mode == S_IFREG | 0o600)
                #expect(info.st_nlink == 0)
                #expect(info.st_size == 2 * 1_048_576)
            }
            finish.open()
            #expect(try probe.response().status == 200)
        }
    }

    /// More bodies are on their way than the worker has threads; all threads serve others.
    @Test func unfinishedBodiesHoldNoThread() async throws {
        let deployment = try await Deployment()
        try await onThread {
            let slow = try (0..<100).map { _ in
                try HTTPProbe(port: deployment.nginx.port, "POST", "/v1/completions", body: "{", declaring: 2)
            }
            #expect(try deployment.complete().status == 200)
            // Nor are they lost: each is served when it is there.
            for probe in slow.prefix(3) {
                try probe.connection.send("}")
                #expect(try probe.response().status == 200)
            }
        }
    }

    /// A client that reads nothing is given up, and the engine with it.
    @Test(arguments: ["worker", "nginx"])
    func aClientThatDoesNotRead(forward: String) async throws {
        let stopped = Gate()
        let deployment = try await Deployment(
            forward: forward, nginxReplacements: [("send_timeout 60s;", "send_timeout 200ms;")],
            engine: { request in
                defer { stopped.open() }
                try request.startStream()
                let event = String(repeating: "x", count: 60_000)
                while true { try request.event(event) }
            })
        try await onThread {
            let probe = try deployment.startCompletion()
            try stopped.wait()
            withExtendedLifetime(probe) {}
        }
    }
}
