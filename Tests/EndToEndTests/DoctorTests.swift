import Foundation
import TestSupport
import Testing

/// `provider-reporter doctor` beside the built worker and real nginx. The faults that last are in Faults/ as well.
@Suite struct DoctorTests {
    /// In the order of the output.
    private static let codes = [
        "config", "gpu.driver", "gpu.sample", "gpu.devices", "engine.reachable", "engine.models", "engine.completion",
        "worker.socket", "worker.running", "nginx.site", "central.reachable", "central.tls", "central.key",
        "central.clock", "tunnel.agent", "tunnel.public", "report.timer", "report.last",
    ]

    private static let engine: ScriptedServer.Script = { request in
        guard request.method == "POST" else { return try FakeEngine.oneModel(request) }
        try request.respond(200, #"{"choices":[{"index":0}]}"#)
    }

    /// Says what a central system says of an HMAC that it has not given out.
    private static let central: ScriptedServer.Script = { request in
        try request.respond(401, #"{"valid":false}"#, headers: ["Date: " + httpDate(.now)])
    }

    private static func deployment(
        settings: [String: String?] = [:], gpu: FakeGPU.State? = nil,
        central: @escaping ScriptedServer.Script = central, engine: @escaping ScriptedServer.Script = engine
    ) async throws -> Deployment {
        try await Deployment(settings: settings, gpu: gpu, central: central, engine: engine)
    }

    @Test func aHealthyMachineIsOkOrSkipped() async throws {
        let deployment = try await Self.deployment()
        let found = try await onThread { try deployment.examine(["--probe"]) }
        #expect(found.exit == .status(0), "\(found.output)")
        #expect(found.checks.map(\.code) == Self.codes)
        #expect(found.codes("warn") + found.codes("fail") == [], "\(found.output)")
        #expect(found.checks.allSatisfy { $0.fix.isEmpty && !$0.saw.isEmpty })
        for code in [
            "gpu.devices", "engine.completion", "worker.running", "central.key", "central.clock", "tunnel.public",
        ] {
            #expect(found[code]?.status == "ok", "\(found.output)")
        }
    }

    @Test func onlyTheValidationOfAnHMACIsAskedOfCentral() async throws {
        let deployment = try await Self.deployment()
        _ = try await onThread { try deployment.examine(["--probe"]) }
        // Of doctor, and of the worker, whom doctor sends a made-up HMAC too.
        #expect(deployment.central.requests == Array(repeating: "POST /api/provider/validate_hmac HTTP/1.1", count: 2))
    }

    /// What is wrong, and the code that says so.
    enum Trouble: String, CaseIterable, Sendable {
        case engineIsDown = "engine.reachable"
        case engineIsNoEngine = "engine.models"
        case engineGeneratesNothing = "engine.completion"
        case gpuFails = "gpu.driver"
        case gpuIsLost = "gpu.devices"
        case workerIsKilled = "worker.running"
        case socketIsMissing = "worker.socket"
        case siteIsAnothers = "nginx.site"
        case centralIsDown = "central.reachable"
        case certificateIsUntrusted = "central.tls"
        case keyIsRefused = "central.key"
        case tunnelLeadsElsewhere = "tunnel.public"
    }

    @Test(arguments: Trouble.allCases)
    func aFaultIsNamedAndNothingElse(_ trouble: Trouble) async throws {
        let gpu: FakeGPU.State? =
            switch trouble {
            case .gpuFails: .fails("Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error")
            case .gpuIsLost: .document(FakeNvidiaSMI.document("[GPU requires reset]"))
            default: nil
            }
        let deployment = try await Self.deployment(
            gpu: gpu,
            central: { request in
                guard trouble != .keyIsRefused else { return try request.respond(401, "{}") }
                try Self.central(request)
            },
            engine: { request in
                if trouble == .engineIsNoEngine { return try request.respond(200, "<html>") }
                if trouble == .engineGeneratesNothing && request.method == "POST" {
                    return try request.respond(500, #"{"error":{"message":"no memory"}}"#)
                }
                try Self.engine(request)
            })
        let other = try ScriptedServer { try $0.respond(200, "<html>parked</html>", type: "text/html") }
        var settings: [String: String?] = [:]
        var arguments = ["--probe"]
        var tls: TLSServer?
        switch trouble {
        case .engineIsDown: deployment.engine.stop()
        case .centralIsDown: deployment.central.stop()
        case .siteIsAnothers: arguments += ["--site", other.url]
        case .tunnelLeadsElsewhere: settings["PROVIDER_NGROK_URL"] = other.url
        case .certificateIsUntrusted:
            let server = try await TLSServer(.selfSigned)
            tls = server
            settings["PROVIDER_URL"] = server.url
        case .workerIsKilled:
            deployment.worker.send(signal: SIGKILL)
            try await deployment.worker.waitForExit()
        case .socketIsMissing:
            deployment.worker.send(signal: SIGKILL)
            try await deployment.worker.waitForExit()
            try FileManager.default.removeItem(atPath: deployment.socket)
        default: break
        }
        let (given, variables) = (arguments, settings)
        let found = try await onThread { try deployment.examine(given, settings: variables) }
        #expect(found.codes("fail") == [trouble.rawValue], "\(found.output)")
        #expect(found[trouble.rawValue]?.fix.isEmpty == false)
        #expect(found.exit == .status(1))
        withExtendedLifetime(tls) {}
    }

    @Test func anotherMachineBehindThePublicURLIsFound() async throws {
        let deployment = try await Self.deployment()
        let other = try await Self.deployment(gpu: .document(FakeNvidiaSMI.document([("0 %", ""), ("1 %", "")])))
        let found = try await onThread {
            try deployment.examine(settings: ["PROVIDER_NGROK_URL": other.nginx.url])
        }
        #expect(found.codes("fail") == ["tunnel.public"], "\(found.output)")
        #expect(found["tunnel.public"]?.saw.contains("another machine") == true)
    }

    /// nginx does not lead to this worker.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/net/if_inet6")))
    func aWorkerOnAnIPv6AddressResponds() async throws {
        let port = try PortReservation()
        let deployment = try await Self.deployment(settings: [
            "PROVIDER_SERVER_SOCKET": "", "PROVIDER_SERVER_HOST": "::1", "PROVIDER_SERVER_PORT": "\(port.port)",
        ])
        let found = try await onThread { try deployment.examine() }
        #expect(found["worker.running"]?.status == "ok", "\(found.output)")
        #expect(found.codes("fail") == ["nginx.site"], "\(found.output)")
    }

    @Test func withoutATunnelBothChecksAreSkipped() async throws {
        let deployment = try await Self.deployment()
        let agent = try PortReservation()
        let found = try await onThread {
            try deployment.examine(settings: [
                "PROVIDER_NGROK_URL": nil, "PROVIDER_NGROK_API": "http://127.0.0.1:\(agent.port)",
            ])
        }
        #expect(found["tunnel.agent"]?.status == "skip" && found["tunnel.public"]?.status == "skip", "\(found.output)")
        #expect(found.exit == .status(0))
    }

    @Test func aWrongClockAndAMissingModelOnlyWarn() async throws {
        let deployment = try await Self.deployment(
            central: { request in
                let date = httpDate(.now.addingTimeInterval(-120))
                try request.respond(401, #"{"valid":false}"#, headers: ["Date: " + date])
            },
            engine: { try $0.respond(200, #"{"object":"list","data":null}"#) })
        let found = try await onThread { try deployment.examine(["--probe"]) }
        #expect(found.codes("warn") == ["engine.models", "central.clock"], "\(found.output)")
        #expect(found.exit == .status(0))
    }

    @Test func aBrokenConfigurationIsTheOnlyFailure() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("gpu: {busy_treshold: 3}\n", to: "config.yaml", mode: 0o600)
        let found = try await onThread { try Examination(["--config", file], environment: [:]) }
        #expect(found.exit == .status(78))
        #expect(found.codes("fail") == ["config"])
        #expect(found.codes("skip") == Array(Self.codes.dropFirst()))
        #expect(found["config"]?.fix.contains("--config \(file)") == true, "\(found.output)")
    }

    @Test(arguments: [["--site", "nowhere"], ["--dry-run"], ["more"]])
    func aWrongCommandLineEndsWith64(arguments: [String]) async throws {
        let process = try ChildProcess.reporter(["doctor"] + arguments, environment: [:])
        #expect(try await process.waitForExit() == .status(64))
    }

    /// The configuration may be named before the subcommand as well.
    @Test func theReportersOptionCounts() async throws {
        let process = try ChildProcess.reporter(["--config", "/nonexistent/a.yaml", "doctor"], environment: [:])
        #expect(try await process.waitForExit() == .status(78))
        #expect(process.standardOutput.contains("/nonexistent/a.yaml"))
    }

    /// The text is the same as JSON's; no colour where standard output is no terminal.
    @Test func theTextHasALineForEachCheck() async throws {
        let deployment = try await Self.deployment()
        let environment = deployment.workerEnvironment
        let process = try ChildProcess.reporter(
            ["doctor", "--config", deployment.configurationPath, "--site", deployment.nginx.url],
            environment: environment)
        try await process.waitForExit()
        let lines = process.standardOutput.split(separator: "\n")
        #expect(lines.map { $0.split(separator: " ")[1] }.map(String.init) == Self.codes)
        #expect(!process.standardOutput.contains("\u{1B}"))
        #expect(process.standardError == "")
    }

    /// nvidia-smi, the engine and central hang at once.
    @Test func itEndsWithin30SecondsWhateverHangs() async throws {
        let hang: ScriptedServer.Script = { request in
            _ = try request.bodyText()
            try request.connection.waitForHangUp()
        }
        let deployment = try await Self.deployment(gpu: .hangs, central: hang, engine: hang)
        let directory = try TemporaryDirectory()
        let bundle = directory.path + "/bundle.tar.gz"
        let began = ContinuousClock.now
        let found = try await onThread { try deployment.examine(["--probe", "--bundle", bundle]) }
        // The machine that tests run on may be busy.
        #expect(ContinuousClock.now - began < .seconds(30) * Sanitizer.slowness)
        #expect(found.codes("fail") == ["gpu.driver", "engine.reachable", "central.reachable"], "\(found.output)")
        #expect(found.output.contains("  provider-doctor/nvidia-smi.xml"))
    }

    @Test func noSecretIsPrintedOrBundled() async throws {
        let sent = SharedValue("")
        let deployment = try await Self.deployment(
            gpu: .utilization("7 %"),
            central: { request in
                sent.value += try request.bodyText()
                try request.respond(401, "{}")
            },
            engine: { request in
                guard request.method == "POST" else { return try FakeEngine.oneModel(request) }
                try request.respond(500, "{}")
            })
        let directory = try TemporaryDirectory()
        let bundle = directory.path + "/bundle.tar.gz"
        let found = try await onThread { try deployment.examine(["--probe", "--bundle", bundle]) }
        let hmacs = sent.value.matches(of: /doctor-[0-9a-f]+/).map { String($0.output) }
        #expect(hmacs.count == 2)
        let unpack = try ChildProcess("tar", ["--extract", "--gzip", "--to-stdout", "--file", bundle])
        #expect(try await unpack.waitForExit() == .status(0))
        let all = found.output + unpack.standardOutput
        #expect(
            !all.contains(Deployment.apiKey) && !hmacs.contains(where: all.contains)
                && !all.contains(FakeNvidiaSMI.uuid()))
        #expect(unpack.standardOutput.contains("api_key: <redacted>"))
        #expect(unpack.standardOutput.contains("NVIDIA Test 4000"))
    }
}
