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
            "limit_conn provider_client_connections 256;", "limit_req zone=provider_client_requests burst=200 nodelay;",
            "limit_req_zone $binary_remote_addr zone=provider_client_requests:10m rate=100r/s;",
            "limit_conn_zone $binary_remote_addr zone=provider_client_connections:1m;",
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

    /// More bodies are on their way than the worker has threads; all of those are there for others.
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
