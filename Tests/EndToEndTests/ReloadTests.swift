import Foundation
import TestSupport
import Testing

/// SIGHUP: the configuration is read again while requests run.
@Suite struct ReloadTests {
    private func log(_ deployment: Deployment) -> String { deployment.worker.standardError }

    private func reload(_ deployment: Deployment, _ configuration: String) throws {
        let before = count("reloaded", deployment)
        try deployment.reload(configuration)
        try deployment.waitUntil("it has been reloaded") { count("reloaded", deployment) > before }
    }

    private func count(_ text: String, _ deployment: Deployment) -> Int {
        log(deployment).components(separatedBy: text).count - 1
    }

    @Test func requestsInFlightKeepTheOld() async throws {
        let finish = Gate()
        let other = try ScriptedServer { try $0.respond(200, #"{"from":"other"}"#) }
        // The engine's URL and the HMAC's header come from the file, so that they can change.
        let old = try ScriptedServer { request in
            try request.startStream()
            try request.event("a")
            try finish.wait()
            try request.event("[DONE]")
            try request.endStream()
        }
        @Sendable func configuration(_ engine: ScriptedServer, _ header: String) -> String {
            "ollama: {url: \(engine.url)}\nprovider: {hmac: required, hmac_header: \(header)}\n"
        }
        let deployment = try await Deployment(
            settings: ["PROVIDER_OLLAMA_URL": nil], configuration: configuration(old, "X-Old"))
        try await onThread {
            let stream = try deployment.startCompletion(headers: ["X-Old: a"]).response()
            _ = try stream.body.next()
            try reload(deployment, configuration(other, "X-New"))
            #expect(log(deployment).contains("reloaded from "))
            #expect(log(deployment).contains(": ollama.url, provider.hmac_header\n"))
            #expect(try deployment.complete(headers: ["X-New: a"]).body == #"{"from":"other"}"#)
            #expect(try deployment.complete(headers: ["X-Old: a"]).body.contains("X-New is missing"))
            finish.open()
            #expect(String(decoding: try stream.body.all(), as: UTF8.self) == "data: [DONE]\n\n")
        }
        deployment.worker.terminate()
        #expect(try await deployment.worker.waitForExit() == .status(0))
    }

    /// Requests that run when the limit changes count, and go on.
    @Test func theLimitCountsRunningRequests() async throws {
        let finish = Gate()
        let deployment = try await Deployment(
            configuration: "server: {max_in_flight: 3, max_body_bytes: 100}\n",
            engine: { request in
                let isHeld = try request.bodyText() == "held"
                if isHeld { try finish.wait() }
                try request.respond(200, "{}")
            })
        try await onThread {
            let held = try (0..<2).map { _ in try deployment.startCompletion("held") }
            try deployment.waitUntil("both run") { deployment.engine.requests.count == 2 }
            #expect(try deployment.complete(String(repeating: "a", count: 11)).status == 200)
            try reload(deployment, "server: {max_in_flight: 2, max_body_bytes: 10}\n")
            #expect(try deployment.complete("{}").body.contains("The limit of 2 requests in flight is reached"))
            #expect(try deployment.complete(String(repeating: "a", count: 11)).status == 413)
            try reload(deployment, "server: {max_in_flight: 3}\n")
            #expect(try deployment.complete("{}").status == 200)
            for _ in held { finish.open() }
            for probe in held { #expect(try probe.response().status == 200) }
        }
    }

    /// Who forwards changes with the next request; but not to an nginx that would ask another engine.
    @Test func nginxTakesOverForwarding() async throws {
        let deployment = try await Deployment()
        try await onThread {
            #expect(try deployment.complete().status == 200)
            #expect(count("status=handed_over", deployment) == 0)
            try reload(deployment, "ollama: {forward: nginx}\n")
            #expect(log(deployment).contains(": ollama.forward\n"))
            #expect(try deployment.complete().status == 200)
            try deployment.waitUntil("it was handed over") { count("status=handed_over", deployment) == 1 }
            try reload(deployment, "ollama: {forward: worker}\n")
            try deployment.nginx.nameEngine("127.0.0.1:1")
            try reload(deployment, "ollama: {forward: nginx}\n")
            #expect(log(deployment).contains("not reloaded, the configuration stays as it was: "))
            #expect(log(deployment).contains("nginx forwards to \"127.0.0.1:1\""))
            #expect(try deployment.complete().status == 200)
            #expect(count("status=handed_over", deployment) == 1)
            #expect(deployment.engine.requests.filter { $0.hasPrefix("POST") }.count == 3)
        }
    }

    @Test func engineConnectionsSurvive() async throws {
        let deployment = try await Deployment()
        try await onThread {
            for configuration in ["ollama: {idle_timeout: 60}\n", "gpu: {busy_threshold: 50}\n", ""] {
                #expect(try deployment.complete().status == 200)
                try reload(deployment, configuration)
            }
            #expect(try deployment.complete().status == 200)
            #expect(deployment.engine.connectionCount == 1)
        }
    }

    @Test func theBusyRuleAndTheReportFollow() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_NGROK_URL": nil], configuration: "ngrok: {url: http://old}\n",
            gpu: .utilization("50 %"))
        try await onThread {
            #expect(try deployment.complete().body.contains("gpu_busy"))
            #expect(try deployment.fetch("GET", "/health").body.contains(#""url":"http://old""#))
            try reload(deployment, "gpu: {busy_threshold: 50}\nngrok: {url: http://new}\nprovider: {type: other}\n")
            #expect(try deployment.complete().status == 200)
            let report = try deployment.fetch("GET", "/health").body
            #expect(report.contains(#""url":"http://new""#))
            #expect(report.contains(#""provider_type":"other""#))
            try reload(deployment, "gpu: {busy_threshold: 49}\n")
            #expect(try deployment.complete().body.contains("gpu_busy"))
        }
    }

    @Test func theLogFollows() async throws {
        let deployment = try await Deployment()
        try await onThread {
            _ = try deployment.fetch("GET", "/busy")
            try deployment.waitUntil("a line") { log(deployment).contains("<6>request ") }
            try reload(deployment, "log: {format: json}\n")
            _ = try deployment.fetch("GET", "/busy")
            try deployment.waitUntil("a line") { log(deployment).contains(#""message":"request","#) }
            // Silent about what goes well from now on, this reload included.
            try deployment.reload("log: {level: warning}\nserver: {port: 1}\n")
            try deployment.waitUntil("a warning") { log(deployment).contains("<4>takes a restart") }
            let lines = count("request", deployment)
            _ = try deployment.fetch("GET", "/busy")
            try reload(deployment, "log: {level: info}\n")
            #expect(count("request", deployment) == lines)
        }
    }

    @Test func aBrokenFileChangesNothing() async throws {
        let deployment = try await Deployment(configuration: "server: {max_body_bytes: 10}\n")
        try await onThread {
            for broken in ["server:\n  max_bdy_bytes: 1\n", "{", "server: {max_body_bytes: s3cret}\n"] {
                try reload(deployment, broken)
                #expect(try deployment.complete("12345678901").status == 413)
                #expect(try deployment.complete("1234567890").status == 200)
            }
            let errors = log(deployment).components(separatedBy: "\n").filter { $0.hasPrefix("<3>") }
            #expect(errors.count == 3)
            #expect(errors.allSatisfy { $0.hasPrefix("<3>not reloaded, the configuration stays as it was: ") })
            #expect(errors.first?.contains("config.yaml:2: server.max_bdy_bytes: unknown key") == true)
            try reload(deployment, "server: {max_body_bytes: 11}\n")
            #expect(try deployment.complete("12345678901").status == 200)
        }
    }

    @Test func whereItListensStays() async throws {
        let directory = try TemporaryDirectory()
        let deployment = try await Deployment(configuration: "server: {max_in_flight: 1}\n")
        try await onThread {
            try reload(deployment, "server: {host: 127.0.0.2, port: 1, socket_group: nobody}\n")
            #expect(
                log(deployment).contains(
                    "<4>takes a restart, the old value is kept: server.socket_group, server.host, server.port\n"))
            #expect(try deployment.complete().status == 200)
        }
        withExtendedLifetime(directory) {}
    }

    @Test func systemdIsTold() async throws {
        let directory = try TemporaryDirectory()
        let manager = try NotifySocket(directory.path + "/notify")
        let deployment = try await Deployment(settings: ["NOTIFY_SOCKET": manager.path])
        try await onThread {
            try manager.receive("READY=1")
            for configuration in ["gpu: {busy_threshold: 1}\n", "nonsense"] {
                try deployment.reload(configuration)
                let message = try manager.receive()
                let lines = message.split(separator: "\n")
                try #require(lines.count == 2)
                #expect(lines[0] == "RELOADING=1")
                #expect(lines[1].hasPrefix("MONOTONIC_USEC="))
                var now = timespec()
                clock_gettime(CLOCK_MONOTONIC, &now)
                let time = try #require(Int(lines[1].dropFirst("MONOTONIC_USEC=".count)))
                #expect((1...now.tv_sec * 1_000_000 + now.tv_nsec / 1000).contains(time))
                #expect(try manager.receive() == "READY=1")
            }
        }
    }

    /// Its signal may reach any thread; none of them is lost, and none kills.
    @Test func manyUnderLoad() async throws {
        let deployment = try await Deployment(gpu: .utilization("1 %"))
        let isOver = SharedValue(false)
        let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await onThread {
                        var statuses: [Int] = []
                        while !isOver.value { statuses.append(try deployment.complete().status) }
                        return statuses
                    }
                }
            }
            try await onThread {
                for round in 1...30 {
                    let requests = deployment.engine.requests.count
                    try reload(deployment, "server: {max_in_flight: \(10 + round % 2)}\n")
                    try deployment.waitUntil("there is load") { deployment.engine.requests.count > requests }
                }
            }
            isOver.value = true
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(statuses.allSatisfy { $0 == 200 })
        #expect(deployment.worker.ended == nil)
    }

    @Test func whileItStarts() async throws {
        // Kept to the end: its directory holds the socket.
        let starting = try await StartingWorker()
        starting.process.send(signal: SIGHUP)
        // Taken up once it is ready.
        try await eventually("it has been reloaded") { starting.process.standardError.contains("reloaded from ") }
        let log = starting.process.standardError
        let ready = try #require(log.range(of: "ready: "))
        #expect(ready.lowerBound < (log.range(of: "reloaded from ")?.lowerBound ?? log.startIndex))
        starting.process.terminate()
        #expect(try await starting.process.waitForExit() == .status(0))
    }

    @Test func whileItDrains() async throws {
        let finish = Gate()
        let deployment = try await Deployment(engine: { request in
            _ = try request.bodyText()
            try finish.wait()
            try request.respond(200, "{}")
        })
        try await onThread {
            let held = try deployment.startCompletion("{}")
            try deployment.waitUntil("it runs") { deployment.engine.requests.count == 1 }
            deployment.worker.terminate()
            try deployment.waitUntil("it stops") { log(deployment).contains("stopping: 1 requests") }
            for _ in 0..<3 { deployment.worker.send(signal: SIGHUP) }
            finish.open()
            #expect(try held.response().status == 200)
        }
        #expect(try await deployment.worker.waitForExit() == .status(0))
        #expect(!log(deployment).contains("reloaded"))
    }
}
