import Foundation
import TestSupport
import Testing

/// Configurations that people have reported trouble with, as the built programs take them.
@Suite struct FieldConfigurationTests {
    private func run(_ program: String, _ arguments: [String], _ environment: [String: String]) throws -> ChildProcess {
        let environment = ["PATH": noPrograms, "PROVIDER_API_KEY": "key"].merging(environment) { $1 }
        return try ChildProcess(try BuiltProduct.path(program), arguments, environment: environment)
    }

    /// Case 09: `docker run --env-file` keeps the quotation marks.
    @Test(arguments: [
        ("PROVIDER_URL", #""http://127.0.0.1:1""#), ("PROVIDER_GPU_BUSY_THRESHOLD", #""30""#),
        ("PROVIDER_HMAC", #""required""#), ("PROVIDER_TYPE", "'ollama'"), ("PROVIDER_GPU_NVIDIA_SMI", #""nvidia-smi""#),
        ("PROVIDER_API_KEY", #""test-key-0123""#), ("PROVIDER_CONFIG", #""/etc/provider-client/config.yaml""#),
    ])
    func aQuotedVariableIsNamedAtTheStart(name: String, value: String) async throws {
        let directory = try TemporaryDirectory()
        let environment = ["PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock", name: value]
        for (program, arguments) in [
            ("provider-fcgi", []), ("provider-fcgi", ["--check-config"]), ("provider-reporter", ["--dry-run"]),
        ] {
            let child = try run(program, arguments, environment)
            #expect(try await child.waitForExit() == .status(78))
            let words = child.standardError
            #expect(
                words.contains("environment variable \(name): expected a value without quotation marks"), "\(words)")
            #expect(words.split(separator: "\n").count == 1)
            #expect(!words.contains("test-key-0123"))
        }
    }

    /// Case 13: a base URL as other clients want it.
    @Test(arguments: ["/v1", "/v1/", "/api"])
    func aBaseURLWithAPathOfTheAPI(path: String) async throws {
        let directory = try TemporaryDirectory()
        let engine = try ScriptedServer { try $0.respond(404, "") }
        let end = path == "/api" ? "/api" : "/v1"
        let words =
            "ollama.url ends in \(end): the worker will ask \(engine.url)\(end)/v1/chat/completions; "
            + "write \(engine.url) instead"
        let environment = [
            "PROVIDER_OLLAMA_URL": engine.url + path, "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock",
        ]
        let check = try run("provider-fcgi", ["--check-config"], environment)
        #expect(try await check.waitForExit() == .status(0))
        #expect(check.standardError == "provider-fcgi: warning: \(words)\n")
        let worker = try run("provider-fcgi", [], environment)
        try await worker.waitUntilReady()
        #expect(worker.standardError.contains(words))
        // The central system is not asked without a key, and the warning comes before all else.
        let reporter = try run("provider-reporter", [], environment.merging(["PROVIDER_API_KEY": ""]) { $1 })
        try await reporter.waitForExit()
        #expect(reporter.standardError.contains(words))
    }

    @Test(arguments: ["", "/"])
    func aBaseURLAsItShouldBe(path: String) async throws {
        let check = try run(
            "provider-fcgi", ["--check-config"], ["PROVIDER_OLLAMA_URL": "http://127.0.0.1:11434" + path])
        #expect(try await check.waitForExit() == .status(0))
        #expect(check.standardError == "")
    }

    /// Case 19: nvidia-smi takes longer than 5 s, and then prints a good document.
    @Test func aSlowNvidiaSMI() async throws {
        let program = try FakeNvidiaSMI("sleep 7\n" + FakeNvidiaSMI.printing(FakeNvidiaSMI.document("7 %")))
        let settings = [
            "PATH": program.environment["PATH"] ?? "", "PROVIDER_GPU_SOURCE": "nvidia-smi",
            "PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "600", "PROVIDER_GPU_MAX_SAMPLE_AGE": "1205",
        ]
        let engine = try ScriptedServer { try $0.respond(200, #"{"object":"list","data":[]}"#) }
        let reporter = try Deployment.reporter(["--dry-run"], engine: engine, settings: settings)
        let deployment = try await Deployment(settings: settings)
        try await onThread {
            try deployment.waitUntil("it is known") { try deployment.fetch("GET", "/busy").body == #"{"busy":false}"# }
            #expect(try deployment.complete().status == 200)
        }
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(reporter.standardOutput.contains(#""utilization":7"#))
        #expect(!reporter.standardOutput.contains("errors"))
    }

    /// The limit holds as well when it is shorter.
    @Test func aLimitOfTheOperatorsHolds() async throws {
        let program = try FakeNvidiaSMI("exec sleep 600\n")
        let deployment = try await Deployment(
            settings: ["PATH": program.environment["PATH"], "PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "0.2"])
        try await onThread {
            try deployment.waitUntil("it is killed") {
                try deployment.fetch("GET", "/health").body.contains(
                    "nvidia-smi did not end within 0.2 s and was killed")
            }
        }
    }

    @Test func aLimitBelowThePaceOfSamples() async throws {
        let check = try run("provider-fcgi", ["--check-config"], ["PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "7"])
        #expect(try await check.waitForExit() == .status(78))
        #expect(check.standardError.contains("gpu.max_sample_age to be at least 19.0 s"))
    }
}
