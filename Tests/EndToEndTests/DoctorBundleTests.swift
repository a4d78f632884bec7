import Foundation
import TestSupport
import Testing

/// `provider-reporter doctor --bundle`: what it makes, and what it leaves when it is stopped.
@Suite struct DoctorBundleTests {
    private static func doctor(
        behind command: [String] = [], _ arguments: [String], settings: [String: String] = [:],
        engine: ScriptedServer? = nil
    ) throws -> ChildProcess {
        // Nobody listens at the discard service's port.
        let nobody = "http://127.0.0.1:9"
        let environment = [
            "PATH": noPrograms, "PROVIDER_OLLAMA_URL": engine?.url ?? nobody, "PROVIDER_URL": nobody,
            "PROVIDER_API_KEY": "key", "PROVIDER_GPU_SOURCE": "nvidia-smi", "PROVIDER_NGROK_API": nobody,
        ].merging(settings) { $1 }
        return try .reporter(behind: command, ["doctor", "--site", nobody] + arguments, environment: environment)
    }

    /// Held until doctor leaves.
    private static let hang: ScriptedServer.Script = { request in try request.connection.waitForHangUp() }

    @Test func theBundleIsListed() async throws {
        let directory = try TemporaryDirectory()
        let bundle = directory.path + "/bundle.tar.gz"
        let process = try Self.doctor(["--bundle", bundle])
        #expect(try await process.waitForExit() == .status(1), "\(process.standardError)")
        let list = try ChildProcess("tar", ["--list", "--gzip", "--file", bundle])
        #expect(try await list.waitForExit() == .status(0))
        let names = list.standardOutput.split(separator: "\n").sorted()
        #expect(names.contains("provider-doctor/doctor.json") && names.contains("provider-doctor/configuration.yaml"))
        for name in names { #expect(process.standardOutput.contains("  \(name)\n")) }
        let mode = try FileManager.default.attributesOfItem(atPath: bundle)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    /// A file that is there, or that leads elsewhere, is refused before doctor looks at anything.
    @Test(arguments: ["a.tar.gz", "link.tar.gz", "missing/a.tar.gz"])
    func aFileThatCannotBeMadeIsRefusedAtOnce(name: String) async throws {
        let directory = try TemporaryDirectory()
        try directory.write("kept", to: "a.tar.gz")
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/link.tar.gz", withDestinationPath: "elsewhere")
        let engine = try ScriptedServer(Self.hang)
        let process = try Self.doctor(["--bundle", "\(directory.path)/\(name)"], engine: engine)
        #expect(try await process.waitForExit() == .status(73))
        #expect(process.standardOutput == "" && engine.requests == [])
        let reason = name.hasPrefix("missing") ? "No such file or directory" : "File exists"
        #expect(process.standardError.contains("\(name) cannot be made: \(reason)"))
        #expect(try String(contentsOfFile: directory.path + "/a.tar.gz", encoding: .utf8) == "kept")
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/elsewhere"))
    }

    /// Both together end within the 30 s of doctor.
    @Test func itCollectsWhileItLooks() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("#!/bin/sh\n: >\(directory.path)/collected\n", to: "journalctl", mode: 0o755)
        let engine = try ScriptedServer { request in
            try waitUntil("the log is read") { access(directory.path + "/collected", F_OK) == 0 }
            try FakeEngine.oneModel(request)
        }
        let process = try Self.doctor(
            ["--bundle", directory.path + "/bundle.tar.gz"], settings: ["PATH": directory.path], engine: engine)
        #expect(try await process.waitForExit() == .status(1))
        #expect(process.standardOutput.contains("ok    engine.models"), "\(process.standardOutput)")
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT])
    func aSignalLeavesNothing(number: CInt) async throws {
        let directory = try TemporaryDirectory()
        let gpu = try FakeGPU(.hangs)
        let engine = try ScriptedServer(Self.hang)
        let process = try Self.doctor(
            ["--bundle", directory.path + "/bundle.tar.gz"],
            settings: ["PATH": gpu.path ?? "", "TMPDIR": directory.path], engine: engine)
        let bundle = directory.path + "/bundle.tar.gz"
        try await eventually("it has begun") {
            FileManager.default.fileExists(atPath: bundle) && gpu.hangs > 1 && !engine.requests.isEmpty
        }
        process.send(signal: number)
        #expect(try await process.waitForExit() == .signal(number))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
        let child = try #require(gpu.process)
        try await eventually("nvidia-smi has ended") { !isAlive(child) }
    }

    @Test(.enabled(if: Preload.obstacle == nil))
    func aFileServerThatHangsIsNotWaitedFor() async throws {
        let directory = try TemporaryDirectory()
        let bundle = directory.path + "/bundle.tar.gz"
        let library = try await Preload("open.c")
        let command = ["env", "LD_PRELOAD=\(library.path)", "HUNG_FILE=\(bundle)"]
        let process = try Self.doctor(behind: command, ["--bundle", bundle])
        #expect(try await process.waitForExit() == .status(73))
        #expect(process.standardError.contains("cannot be made within 3 s"))

        try FileManager.default.removeItem(atPath: bundle + ".hung")
        let stopped = try Self.doctor(behind: command, ["--bundle", bundle])
        try await eventually("the file server hangs") { FileManager.default.fileExists(atPath: bundle + ".hung") }
        stopped.send(signal: SIGTERM)
        // A busy machine may come to the 3 s first.
        #expect([.signal(SIGTERM), .status(73)].contains(try await stopped.waitForExit()))
    }
}
