import Foundation
import TestSupport
import Testing

/// The built reporter against a scripted central.
@Suite struct ReporterTests {
    private static let models: ScriptedServer.Script = { request in
        guard request.target == "/v1/models" else { return try request.answer(404, "") }
        try request.answer(
            200, #"{"object":"list","data":[{"id":"m","object":"model","created":5,"owned_by":"library"}]}"#)
    }

    private struct Run {
        let process: ChildProcess
        let central: ScriptedServer
        let engine: ScriptedServer
        let gpu: FakeGPU?
    }

    private func start(
        _ arguments: [String] = [], settings: [String: String] = [:], gpu: FakeGPU? = nil,
        engine: @escaping ScriptedServer.Script = Self.models, central: @escaping ScriptedServer.Script
    ) throws -> Run {
        let engine = try ScriptedServer(engine)
        let central = try ScriptedServer(central)
        let environment = Deployment.environment(engine: engine, central: central, gpu: gpu)
        let process = try ChildProcess(
            try BuiltProduct.path("provider-reporter"), arguments,
            environment: environment.merging(settings) { $1 })
        return Run(process: process, central: central, engine: engine, gpu: gpu)
    }

    @Test func aReportArrives() async throws {
        let seen = Seen()
        let run = try start(gpu: try FakeGPU(.utilization("7 %"))) { request in
            seen.text = "\(request.head.startLine) \(request.head["Authorization"] ?? "") \(try request.bodyText())"
            try request.answer(200, "")
        }
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(
            seen.text == """
                POST /api/provider/health HTTP/1.1 Bearer key-of-the-provider \
                {"data":[{"created":5,"id":"m","object":"model","owned_by":"library"}],"gpu":{"cuda_version":"12.4",\
                "driver_version":"550.54.14","gpu_count":1,"gpus":[{"index":0,"memory_free":24108,"memory_total":24564,\
                "memory_used":4,"mig_devices":[],"power":26,"product_name":"NVIDIA Test 4000","temperature":40,\
                "utilization":7,"uuid":"GPU-00000000-1111-2222-3333-444444444444"}],\
                "is_busy":false,"memory_free":24108,"memory_total":24564,\
                "memory_used":4,"product_name":"NVIDIA Test 4000","utilization":7,\
                "uuid":"GPU-00000000-1111-2222-3333-444444444444"},\
                "ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}
                """)
        #expect(run.process.standardError.contains("report delivered: 1 models, 1 GPUs"))
    }

    @Test(arguments: [400, 401, 403, 404, 302])
    func aRefusal(status: Int) async throws {
        let run = try start { try $0.answer(status, "", headers: ["Location: /elsewhere"]) }
        #expect(try await run.process.waitForExit() == .status(77))
        #expect(run.central.requests.count == 1)
        #expect(run.process.standardError.contains("report refused: central answered \(status)"))
    }

    @Test func centralIsDown() async throws {
        // Longer than a run may last, so that it ends at once.
        let run = try start { try $0.answer(503, "", headers: ["Retry-After: 3600"]) }
        #expect(try await run.process.waitForExit() == .status(75))
        #expect(run.process.standardError.contains("report not delivered: central answered 503"))
    }

    @Test(arguments: [429, 500])
    func aTemporaryFailureIsTriedAgain(status: Int) async throws {
        let attempt = Seen()
        let run = try start { request in
            defer { attempt.text += "x" }
            try request.answer(attempt.text.isEmpty ? status : 200, "")
        }
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(run.central.requests.count == 2)
    }

    @Test func withoutAKey() async throws {
        let run = try start(settings: ["PROVIDER_API_KEY": ""]) { try $0.answer(200, "") }
        #expect(try await run.process.waitForExit() == .status(78))
        #expect(run.process.standardError.contains("provider.api_key"))
        #expect(run.central.requests.isEmpty)
    }

    @Test func aBrokenConfiguration() async throws {
        let run = try start(settings: ["PROVIDER_GPU_BUSY_THRESHOLD": "many"]) { try $0.answer(200, "") }
        #expect(try await run.process.waitForExit() == .status(78))
        #expect(run.process.standardError.contains("PROVIDER_GPU_BUSY_THRESHOLD"))
    }

    /// What is down is reported, not a failure.
    @Test func nothingIsThere() async throws {
        let seen = Seen()
        let gpu = try FakeGPU(.fails("NVIDIA-SMI has failed"))
        let run = try start(
            settings: ["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": "http://127.0.0.1:1"], gpu: gpu,
            engine: { try $0.answer(500, "") },
            central: { request in
                seen.text = try request.bodyText()
                try request.answer(200, "")
            })
        #expect(try await run.process.waitForExit() == .status(0))
        #expect(
            seen.text == """
                {"data":[],"errors":["engine: /api/models answered 500","gpu: nvidia-smi exited with 9: NVIDIA-SMI has failed"],\
                "gpu":null,"ngrok":{"url":""},"object":"list","provider_type":"ollama"}
                """)
    }

    @Test func aDryRunSendsNothing() async throws {
        let run = try start(["--dry-run"], settings: ["PROVIDER_API_KEY": ""]) { try $0.answer(200, "") }
        #expect(try await run.process.waitForExit() == .status(0))
        let report = run.process.standardOutput
        let start = #"{"data":[{"created":5,"id":"m","object":"model","owned_by":"library"}],"gpu":{"cuda_version":"#
        let end =
            #"},"ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}"# + "\n"
        #expect(report.hasPrefix(start) && report.hasSuffix(end), "\(report)")
        #expect(run.central.requests.isEmpty)
    }

    @Test func everySoOftenUntilSIGTERM() async throws {
        let run = try start(["--every", "1"]) { try $0.answer(200, "") }
        try await eventually("two reports") { run.central.requests.count >= 2 }
        run.process.terminate()
        #expect(try await run.process.waitForExit() == .status(0))
        let wrong = try start(["--every", "0"]) { try $0.answer(200, "") }
        #expect(try await wrong.process.waitForExit() == .status(64))
    }

    /// In a container nobody else would end what hangs.
    @Test func aHangingNvidiaSMIGoesWithTheReporter() async throws {
        let gpu = try FakeGPU(.hangs)
        let run = try start(["--every", "300"], gpu: gpu) { try $0.answer(200, "") }
        try await eventually("nvidia-smi runs") { gpu.process != nil }
        run.process.terminate()
        let exit = try await run.process.waitForExit()
        #expect(exit == .status(0))
        let process = try #require(gpu.process)
        try await eventually("it is gone") { !isAlive(process) }
    }
}
