import Foundation
import TestSupport
import Testing

/// Prompts and the key do not leave memory by a crash: no core file, whatever the machine's settings, and no crash report of
/// Swift's runtime.
@Suite struct CoreFileTests {
    /// Runs a program with core files enabled, ends it by SIGABRT, and tells whether the kernel wrote a core file.
    private static func leavesACore(
        _ program: [String], environment: [String: String], when isReady: (ChildProcess) -> Bool
    ) async throws -> Bool {
        let directory = try TemporaryDirectory()
        // bash says how the last program ended; something behind it keeps bash from becoming it.
        let shell = try ChildProcess(
            "/bin/bash", ["-c", "ulimit -c unlimited; \"$@\"; echo \"ended: $?\"", "bash"] + program,
            environment: environment, workingDirectory: directory.path)
        try await eventually("it is ready", within: .seconds(60)) { isReady(shell) }
        let children = Vitals.children(of: shell.pid)
        #expect(children.count == 1)
        for child in children { #expect(kill(child, SIGABRT) == 0) }
        #expect(try await shell.waitForExit() == .status(0))
        // At once, and with no more words than bash's.
        #expect(shell.standardOutput.contains("ended: \(128 + SIGABRT)"))
        #expect(!shell.standardError.contains("Signal") && !shell.standardError.contains("crashed"))
        #expect(shell.standardError.contains("Aborted"))
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        return shell.standardError.contains("(core dumped)") || files.contains { $0.hasPrefix("core") }
    }

    /// Where not even a program that does nothing about it leaves one, nothing can be told.
    private static func requireCores() async throws {
        let isLeft = try await leavesACore(["/bin/sleep", "600"], environment: [:]) {
            Vitals.children(of: $0.pid).contains { Vitals.field("Name", of: $0) == "sleep" }
        }
        if !isLeft { try Test.cancel("no program leaves a core file on this machine") }
    }

    @Test func theWorkerLeavesNoCoreFile() async throws {
        try await Self.requireCores()
        let directory = try TemporaryDirectory()
        let isLeft = try await Self.leavesACore(
            [try BuiltProduct.path("provider-fcgi")],
            environment: ["PATH": noPrograms, "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock"]
        ) { $0.standardError.contains("ready: listening on") }
        #expect(!isLeft)
    }

    @Test func theReporterLeavesNoCoreFile() async throws {
        try await Self.requireCores()
        let central = try ScriptedServer { try $0.connection.waitForHangUp() }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let isLeft = try await Self.leavesACore(
            [try BuiltProduct.path("provider-reporter")],
            environment: Deployment.environment(engine: engine, central: central, gpu: nil)
        ) { _ in !central.requests.isEmpty }
        #expect(!isLeft)
    }
}
