import Foundation
import TestSupport
import Testing

/// Keys, HMACs and prompts: where they are not.
@Suite struct SecretsTests {
    /// Neither the worker's command line nor anything of nvidia-smi's; and no core file would hold what is in memory.
    @Test func processesShowNothing() async throws {
        let program = try FakeNvidiaSMI(
            """
            if [ -e $here/done ]; then exit 9; fi
            cat /proc/self/limits >$here/limits
            tr '\\0' ' ' </proc/$$/cmdline >$here/arguments
            : >$here/done
            exit 9
            """)
        let directory = try TemporaryDirectory()
        let key = try directory.write("key-secret\n", to: "key", mode: 0o600)
        let deployment = try await Deployment(settings: [
            "PATH": program.environment["PATH"], "PROVIDER_API_KEY": nil, "PROVIDER_API_KEY_FILE": key,
        ])
        try await eventually("nvidia-smi has run") { program.written("done") != nil }
        let process = "/proc/\(deployment.worker.pid)/"
        #expect(try Self.read(process + "cmdline").contains("provider-fcgi"))
        #expect(try !Self.read(process + "cmdline").contains("secret"))
        #expect(try !Self.read(process + "environ").contains("key-secret"))
        for limits in [try Self.read(process + "limits"), program.written("limits") ?? ""] {
            #expect(limits.contains(#/\nMax core file size +0 +0 /#))
        }
        #expect(program.written("arguments")?.contains("nvidia-smi") == true)
        #expect(program.written("arguments")?.contains("secret") == false)
    }

    @Test func theReporterLeavesNoCoreEither() async throws {
        let asked = Gate()
        let central = try ScriptedServer { request in
            _ = try request.bodyText()
            asked.open()
            try request.connection.waitForHangUp()
        }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let reporter = try ChildProcess.reporter(
            environment: Deployment.environment(engine: engine, central: central, gpu: nil))
        try await onThread { try asked.wait() }
        #expect(try Self.read("/proc/\(reporter.pid)/limits").contains(#/\nMax core file size +0 +0 /#))
        #expect(try !Self.read("/proc/\(reporter.pid)/cmdline").contains(Deployment.apiKey))
    }

    /// What an engine and a central system can say, most of it with a prompt or an HMAC in it.
    private static let engines: [String] = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: prompt-secret\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nprompt-secret", "HTTP/1.1 200 OK\r\nprompt-secret\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: prompt-secret\r\n\r\n", "HTTP/prompt-secret 200 OK\r\n\r\n",
        "prompt-secret\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nprompt-secret\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: prompt-secret\r\n\r\n", "HTTP/1.1 abc prompt-secret\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://prompt-secret/\r\nContent-Length: 0\r\n\r\n", "",
    ]
    private static let centrals = [
        (401, "central-secret"), (500, "central-secret"), (200, "central-secret"),
        (401, #"{"valid":false,"error":"central-secret"}"#),
        (302, "central-secret"), (200, #"{"valid":true,"note":"central-secret"}"#),
    ]

    /// At the lowest level, in both forms, in nginx's logs and in the errors that clients are told.
    @Test(arguments: ["text", "json"], ["worker", "nginx"])
    func noLogHasAny(format: String, forward: String) async throws {
        let turn = Counter()
        let deployment = try await Deployment(
            forward: forward, settings: ["PROVIDER_LOG_LEVEL": "trace", "PROVIDER_LOG_FORMAT": format],
            central: { request in
                let (status, body) = Self.centrals[turn.next() % Self.centrals.count]
                try request.respond(status, body, headers: ["Location: http://central-secret/"])
            },
            engine: { request in
                _ = try request.bodyText()
                try request.connection.send(Self.engines[turn.next() % Self.engines.count])
                request.closeAfterwards()
            })
        try await onThread {
            var asked = 0
            func ask(_ headers: [String] = [], query: String = "?query-secret", isEnginesResponse: Bool) throws {
                let probe = try HTTPProbe(
                    port: deployment.nginx.port, "POST", "/v1/completions" + query,
                    headers: headers + ["Authorization: Bearer auth-secret", "Cookie: cookie-secret"],
                    body: #"{"prompt":"prompt-secret"}"#)
                asked += 1
                guard let response = try? probe.response(), !isEnginesResponse else { return }
                let body = String(decoding: (try? response.body.all()) ?? [], as: UTF8.self)
                #expect(!body.contains("secret"))
                #expect(body.contains(#""error":{"#))
            }
            for _ in Self.engines { try ask(isEnginesResponse: true) }
            for _ in Self.centrals { try ask(["X-Inferoute-HMAC: hmac-secret"], isEnginesResponse: true) }
            try ask(["X-Inferoute-HMAC: hmac secret"], isEnginesResponse: false)
            try ask(["X-Inferoute-HMAC: hmac-secret", "X-Inferoute-HMAC: hmac-secret"], isEnginesResponse: false)
            deployment.engine.stop()
            deployment.central.stop()
            // nginx's own error log quotes the request line, where it has something to say: that is why nothing secret
            // belongs into a query.
            try ask(query: "", isEnginesResponse: false)
            try ask(["X-Inferoute-HMAC: hmac-secret"], query: "", isEnginesResponse: false)
            try deployment.waitUntil("the worker has logged all") {
                deployment.worker.standardError.count("/v1/completions") >= asked
            }
            deployment.worker.send(signal: SIGKILL)
            try deployment.waitUntil("the worker has gone") { deployment.worker.ended != nil }
            try ask(["X-Inferoute-HMAC: hmac-secret"], query: "", isEnginesResponse: false)
            try deployment.waitUntil("nginx has logged all") {
                deployment.nginx.accessLog.count("/v1/completions") == asked
            }
            for log in [deployment.worker.standardError, deployment.worker.standardOutput, deployment.nginx.accessLog] {
                #expect(!log.contains("secret"))
                #expect(!log.contains(Deployment.apiKey))
            }
            let errors = deployment.nginx.errorLog.split(separator: "\n")
            #expect(errors.contains { $0.contains("connect() to unix:") })
            for error in errors {
                #expect(!error.replacing("?query-secret", with: "").contains("secret"))
                #expect(!error.contains(Deployment.apiKey))
            }
        }
    }

    /// Raw, since some of it is no HTTP.
    private static let reportersCentrals: [String] = [
        "HTTP/1.1 401 central-secret\r\nWWW-Authenticate: central-secret\r\nContent-Length: 14\r\n\r\ncentral-secret",
        "HTTP/1.1 302 Found\r\nLocation: http://central-secret/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 central-secret\r\nSet-Cookie: central-secret\r\nContent-Length: 14\r\n\r\ncentral-secret",
        "HTTP/1.1 503 central-secret\r\nRetry-After: central-secret\r\nContent-Length: 14\r\n\r\ncentral-secret",
        "HTTP/1.1 200 OK\r\nContent-Length: central-secret\r\n\r\n", "HTTP/central-secret 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncentral-secret", "central-secret\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncentral-secret\r\n", "",
    ]

    /// Nor does the reporter's, with a central system, an engine and an agent that say what they like.
    @Test(arguments: reportersCentrals, ["text", "json"])
    func theReportersLogHasNoSecret(response: String, format: String) async throws {
        let central = try ScriptedServer { request in
            _ = try request.bodyText()
            try request.connection.send(response)
            request.closeAfterwards()
        }
        // Without a list nothing would be sent: the last path has one.
        let other = try ScriptedServer { request in
            let isList = request.target == "/api/tags"
            let body = isList ? #"{"models":[{"name":"m"}]}"# : "other-secret"
            try request.respond(isList ? 200 : 500, body, headers: ["X-Other: other-secret"])
        }
        let settings = [
            "PROVIDER_LOG_LEVEL": "trace", "PROVIDER_LOG_FORMAT": format, "PROVIDER_NGROK_URL": "",
            "PROVIDER_NGROK_API": other.url,
        ]
        let reporter = try Deployment.reporter(engine: other, central: central, settings: settings)
        // It would try again for a minute.
        try await eventually("it has said how that went") {
            reporter.standardError.contains("attempt") || reporter.standardError.contains("report refused")
        }
        let log = reporter.standardError + reporter.standardOutput
        #expect(log.contains("no public URL to report"))
        #expect(!log.contains("secret"))
        #expect(!log.contains(Deployment.apiKey))
    }

    /// nginx's own messages, at Debian's level and at the debug level.
    @Test(arguments: [("", false), ("error_log error.log info;", true)])
    func nginxQuotesHeadersAtInfoOnly(directive: String, isQuoted: Bool) async throws {
        let deployment = try await Deployment(nginxDirectives: { _ in directive })
        try await onThread {
            let secrets = [
                "Authorization: Bearer auth-secret", "Cookie: cookie-secret", "X-Inferoute-HMAC: hmac-secret",
            ]
            #expect(try deployment.complete(#"{"prompt":"prompt-secret"}"#, headers: secrets).status == 200)
            let line = "X_Inferoute_HMAC: line-secret"
            #expect(try deployment.complete(headers: [line]).status == 200)
            let long = "X-Inferoute-HMAC: long-secret" + String(repeating: "a", count: 40_000)
            #expect(try deployment.complete(headers: [long]).status == 431)
            deployment.worker.send(signal: SIGKILL)
            try deployment.waitUntil("the worker has gone") { deployment.worker.ended != nil }
            #expect(try deployment.complete(#"{"prompt":"prompt-secret"}"#, headers: secrets).status == 503)
            try deployment.waitUntil("nginx has said so") { deployment.nginx.errorLog.contains("connect() to unix:") }
        }
        let log = deployment.nginx.errorLog
        for secret in ["line-secret", "long-secret"] { #expect(log.contains(secret) == isQuoted) }
        for secret in ["auth-secret", "cookie-secret", "hmac-secret", "prompt-secret"] {
            #expect(!log.contains(secret))
        }
    }

    private static func read(_ path: String) throws -> String {
        String(decoding: try #require(FileManager.default.contents(atPath: path)), as: UTF8.self)
    }
}
