import Foundation
import TestSupport
import Testing

/// The built reporter against a scripted the central system.
@Suite struct ReporterTests {
    private struct Run {
        let process: ChildProcess
        let central: ScriptedServer
        let engine: ScriptedServer
        let gpu: FakeGPU?
    }

    private func start(
        _ arguments: [String] = [], settings: [String: String] = [:], gpu: FakeGPU? = nil,
        engine: @escaping ScriptedServer.Script = FakeEngine.oneModel, central: @escaping ScriptedServer.Script
    ) throws -> Run {
        let engine = try ScriptedServer(engine)
        let central = try ScriptedServer(central)
        let environment = Deployment.environment(engine: engine, central: central, gpu: gpu)
        let process = try ChildProcess.reporter(
            arguments,
            environment: environment.merging(settings) { $1 }, logsToJournal: true)
        return Run(process: process, central: central, engine: engine, gpu: gpu)
    }

    @Test func aReportArrives() async throws {
        let seen = SharedValue("")
        let run = try start(gpu: try FakeGPU(.utilization("7 %"))) { request in
            seen.value = "\(request.head.startLine) \(request.head["Authorization"] ?? "") \(try request.bodyText())"
            try request.respond(200, "")
        }
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(
            seen.value == "POST /api/provider/health HTTP/1.1 Bearer key-of-the-provider \(GoldenReport.json)")
        #expect(run.process.standardError.contains("report delivered: 1 models, 1 GPUs, 1 public URLs, attempts 1"))
    }

    @Test(arguments: [400, 401, 403, 404, 302])
    func aRefusal(status: Int) async throws {
        let run = try start { try $0.respond(status, "", headers: ["Location: /elsewhere"]) }
        #expect(try await run.process.waitForExit() == .status(77))
        #expect(run.central.requests.count == 1)
        #expect(run.process.standardError.contains("report refused: the central system responded with \(status)"))
    }

    @Test func centralIsDown() async throws {
        // Longer than a run may last, so that it ends at once.
        let run = try start { try $0.respond(503, "", headers: ["Retry-After: 3600"]) }
        #expect(try await run.process.waitForExit() == .status(75))
        #expect(run.process.standardError.contains("report not delivered: the central system responded with 503"))
    }

    @Test(arguments: [429, 500])
    func aTemporaryFailureIsTriedAgain(status: Int) async throws {
        let attempt = SharedValue("")
        let run = try start { request in
            defer { attempt.value += "x" }
            try request.respond(attempt.value.isEmpty ? status : 200, "")
        }
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.central.requests.count == 2)
    }

    @Test func withoutAKey() async throws {
        let run = try start(settings: ["PROVIDER_API_KEY": ""]) { try $0.respond(200, "") }
        #expect(try await run.process.waitForExit() == .status(78))
        let words = run.process.standardError
        #expect(
            words.contains("provider.api_key: no API key is set: write it into /etc/provider-client/api_key with "),
            "\(words)")
        #expect(words.contains("`install -D -m 600 /dev/stdin /etc/provider-client/api_key`"))
        #expect(run.central.requests.isEmpty)
    }

    @Test func aBrokenConfiguration() async throws {
        let run = try start(settings: ["PROVIDER_GPU_BUSY_THRESHOLD": "many"]) { try $0.respond(200, "") }
        #expect(try await run.process.waitForExit() == .status(78))
        #expect(run.process.standardError.contains("PROVIDER_GPU_BUSY_THRESHOLD"))
    }

    /// A GPU in trouble and a tunnel that is not there are reported, and are no failure.
    @Test func allButTheEngineIsDown() async throws {
        let seen = SharedValue("")
        let gpu = try FakeGPU(.fails("NVIDIA-SMI has failed"))
        let run = try start(
            settings: ["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": "http://127.0.0.1:1"], gpu: gpu,
            central: { request in
                seen.value = try request.bodyText()
                try request.respond(200, "")
            })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(
            seen.value == """
                {"data":[{"created":5,"id":"m","object":"model","owned_by":"library"}],\
                "errors":["gpu: nvidia-smi exited with 9: NVIDIA-SMI has failed"],\
                "gpu":null,"ngrok":{"url":""},"object":"list","provider_type":"ollama"}
                """)
        #expect(run.process.standardError.contains("report delivered: 1 models, 0 GPUs, 0 public URLs, attempts 1"))
    }

    /// What an engine can say or do in place of its list, and the words for it.
    private static let noList: [(words: String, engine: ScriptedServer.Script)] = [
        ("/api/tags responded with 500", { try $0.respond(500, "") }),
        ("/v1/models sent something other than a list", { try $0.respond(200, #"{"error":"Unexpected endpoint"}"#) }),
        ("(text/html)", { try $0.respond(200, "<!doctype html>", type: "text/html") }),
        ("(Content-Encoding: gzip)", { try $0.respond(200, "\u{1F}", headers: ["Content-Encoding: gzip"]) }),
        ("a list without a valid model", { try $0.respond(200, #"{"data":[1],"models":[{}]}"#) }),
        ("Empty reply from server", { $0.closeAfterwards() }),
        ("Ollama refuses the Host", { try $0.respond(403, "") }),
        ("has not responded yet: no response from", { try $0.connection.waitForHangUp() }),
    ]

    /// The central system would delete the models, with the prices that their owner set.
    @Test(arguments: noList.indices)
    func withoutTheEnginesListNothingIsSent(index: Int) async throws {
        let (words, engine) = Self.noList[index]
        let run = try start(settings: ["PROVIDER_REPORT_TIMEOUT": "2"], engine: engine) { try $0.respond(200, "") }
        #expect(try await run.process.waitForExit() == .status(75))
        #expect(run.central.requests.isEmpty)
        let log = run.process.standardError
        #expect(log.contains("<4>nothing to report yet: engine: ") || index == Self.noList.count - 1, "\(log)")
        #expect(log.contains("<3>report not sent: engine: ") && log.contains(words), "\(log)")
        #expect(log.contains("start the engine or correct ollama.url"))
    }

    @Test func theEngineIsDown() async throws {
        let run = try start(settings: ["PROVIDER_REPORT_TIMEOUT": "2", "PROVIDER_OLLAMA_URL": "http://127.0.0.1:1"]) {
            try $0.respond(200, "")
        }
        #expect(try await run.process.waitForExit() == .status(75))
        #expect(run.central.requests.isEmpty)
        let log = run.process.standardError
        #expect(log.contains("report not sent: engine: cannot connect: "), "\(log)")
        #expect(log.contains("(http://127.0.0.1:1 is down or cannot be reached)"))
    }

    /// Within the same run, as soon as it has a list.
    @Test func theEngineIsAskedAgain() async throws {
        let turn = Counter()
        let seen = SharedValue("")
        let run = try start(
            engine: { request in
                if request.target == "/v1/models" && turn.next() > 1 { return try FakeEngine.oneModel(request) }
                try request.respond(500, "")
            },
            central: { request in
                seen.value = try request.bodyText()
                try request.respond(200, "")
            })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.engine.requests.count { $0.hasPrefix("GET /v1/models ") } == 3)
        #expect(seen.value.contains(#""id":"m""#))
        // Each kind of trouble is said once.
        #expect(run.process.standardError.count("nothing to report yet") == 1)
    }

    /// An engine without a model is believed.
    @Test(arguments: [#"{"object":"list","data":null}"#, #"{"object":"list","data":[]}"#])
    func anEmptyListIsSent(list: String) async throws {
        let seen = SharedValue("")
        let run = try start(
            engine: { try $0.respond(200, list) },
            central: { request in
                seen.value = try request.bodyText()
                try request.respond(200, "")
            })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(seen.value.contains(#""data":[],"gpu""#))
        #expect(run.process.standardError.contains("the engine has no model"))
    }

    /// More than `/health` waits.
    @Test func aSlowListIsNoFailure() async throws {
        let run = try start(
            engine: { request in
                sleep(6)
                try FakeEngine.oneModel(request)
            },
            central: { try $0.respond(200, "") })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.engine.requests == ["GET /v1/models HTTP/1.1"])
        #expect(run.process.standardError.contains("report delivered: 1 models"))
    }

    @Test func bothTunnels() async throws {
        let seen = SharedValue("")
        let programs = try ScriptedServer { request in
            let isNgrok = request.target == "/api/tunnels"
            #expect(isNgrok || request.target == "/quicktunnel")
            try request.respond(
                200, isNgrok ? Self.tunnels : #"{"hostname":"some-words.trycloudflare.com"}"#)
        }
        let run = try start(
            settings: [
                "PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": programs.url,
                "PROVIDER_CLOUDFLARE_METRICS": programs.url,
            ],
            central: { request in
                seen.value = try request.bodyText()
                try request.respond(200, "")
            })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(seen.value.hasPrefix(#"{"cloudflare":{"url":"https://some-words.trycloudflare.com"},"data":"#))
        #expect(seen.value.contains(#""ngrok":{"url":"https://provider-example.ngrok-free.app"}"#))
        #expect(run.process.standardError.contains("report delivered: 1 models, 1 GPUs, 2 public URLs"))
        #expect(!run.process.standardError.contains("<4>"))
    }

    /// A web UI, ssh, and nginx, in this order.
    private static let tunnels = #"""
        {"tunnels":[
        {"name":"webui","public_url":"https://webui-example.ngrok-free.app","config":{"addr":"http://localhost:3000"}},
        {"name":"ssh","public_url":"tcp://0.tcp.eu.ngrok.io:12345","config":{"addr":"localhost:22"}},
        {"name":"provider","public_url":"https://provider-example.ngrok-free.app",
        "config":{"addr":"http://localhost:8080"}}]}
        """#

    @Test(arguments: [
        (["PROVIDER_NGROK_PORT": "9090"], #"<4>no public URL to report: ngrok agent at "#),
        (["PROVIDER_NGROK_TUNNEL": "gone"], #"has no tunnel "gone" (ngrok.tunnel), only "webui", "ssh", "provider""#),
    ])
    func severalTunnelsLeadElsewhere(settings: [String: String], words: String) async throws {
        let agent = try ScriptedServer { try $0.respond(200, Self.tunnels) }
        let run = try start(
            ["--dry-run"],
            settings: settings.merging(["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": agent.url]) { $1 },
            central: { try $0.respond(200, "") })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.process.standardOutput.contains(#""ngrok":{"url":""}"#))
        #expect(run.process.standardError.contains(words), "\(run.process.standardError)")
    }

    /// Prints what there is, asks once, and says that it would not be sent.
    @Test func aDryRunWithoutAList() async throws {
        let run = try start(
            ["--dry-run"], engine: { try $0.respond(404, "") }, central: { try $0.respond(200, "") })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.process.standardOutput.hasPrefix(#"{"data":[],"errors":["engine: no list of models: "#))
        #expect(run.process.standardError.contains("this report would not be sent: engine: no list of models: "))
        #expect(run.engine.requests.count == 3)
        #expect(run.central.requests.isEmpty)
    }

    @Test func aDryRunSendsNothing() async throws {
        let run = try start(["--dry-run"], settings: ["PROVIDER_API_KEY": ""]) { try $0.respond(200, "") }
        #expect(try await run.process.waitForExit() == .status(0))
        let report = run.process.standardOutput
        let start = #"{"data":[{"created":5,"id":"m","object":"model","owned_by":"library"}],"gpu":{"cuda_version":"#
        let end =
            #"},"ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}"# + "\n"
        #expect(report.hasPrefix(start) && report.hasSuffix(end), "\(report)")
        #expect(run.central.requests.isEmpty)
        #expect(run.process.standardError.contains("this report would not be sent: no API key is set: "))
        #expect(run.process.standardError.contains("/etc/provider-client/api_key"))
    }

    @Test func everySoOftenUntilSIGTERM() async throws {
        let run = try start(["--every", "1"]) { try $0.respond(200, "") }
        try await eventually("two reports") { run.central.requests.count >= 2 }
        run.process.terminate()
        #expect(try await run.process.waitForExit() == .status(0))
        let wrong = try start(["--every", "0"]) { try $0.respond(200, "") }
        #expect(try await wrong.process.waitForExit() == .status(64))
    }

    /// In a container nothing else would end a hanging process.
    @Test func aHangingNvidiaSMIGoesWithTheReporter() async throws {
        let gpu = try FakeGPU(.hangs)
        let run = try start(["--every", "300"], gpu: gpu) { try $0.respond(200, "") }
        try await eventually("nvidia-smi runs") { gpu.process != nil }
        run.process.terminate()
        let exit = try await run.process.waitForExit()
        #expect(exit == .status(0))
        let process = try #require(gpu.process)
        try await eventually("it is gone") { !isAlive(process) }
    }
}
