import Foundation
import TestSupport
import Testing

/// `<priority>` before a log line is for journald only.
@Suite struct LogPriorityTests {
    private static func dryRun(_ environment: [String: String], logsToJournal: Bool = false) throws -> ChildProcess {
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let settings = ["PROVIDER_URL": "http://192.0.2.1:8000"].merging(environment) { $1 }
        return try ChildProcess.reporter(
            ["--dry-run"],
            environment: Deployment.environment(engine: engine, central: engine, gpu: nil).merging(settings) { $1 },
            logsToJournal: logsToJournal)
    }

    private static let line = "provider.url: the API key goes over the network unencrypted"

    /// A file, as of a shell's redirection; the variable may come from a terminal that systemd has started.
    @Test(arguments: [[:], ["JOURNAL_STREAM": "9:12345"], ["JOURNAL_STREAM": ""]])
    func aStreamOfSomebodyElse(environment: [String: String]) async throws {
        let reporter = try Self.dryRun(environment)
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(reporter.standardError.hasPrefix(Self.line), "\(reporter.standardError)")
        #expect(!reporter.standardError.contains("<"))
    }

    @Test func journald() async throws {
        let reporter = try Self.dryRun([:], logsToJournal: true)
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(reporter.standardError.hasPrefix("<4>" + Self.line), "\(reporter.standardError)")
    }

    /// As in `provider-reporter --dry-run 2>&1 | less`.
    @Test func aPipe() async throws {
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let shell = try ChildProcess(
            "sh", ["-c", #""$0" --dry-run 2>&1 >/dev/null | cat"#, try BuiltProduct.path("provider-reporter")],
            environment: Deployment.environment(engine: engine, central: engine, gpu: nil)
                .merging(["PROVIDER_URL": "http://192.0.2.1:8000", "PATH": idleGPU + ":/usr/bin:/bin"]) { $1 })
        #expect(try await shell.waitForExit() == .status(0))
        #expect(shell.standardOutput.hasPrefix(Self.line), "\(shell.standardOutput)")
        #expect(!shell.standardOutput.contains("<"))
    }

    @Test func theWorkersToo() async throws {
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let directory = try TemporaryDirectory()
        let worker = try ChildProcess.worker(
            environment: Deployment.environment(engine: engine, central: engine, gpu: nil)
                .merging(["PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock"]) { $1 })
        try await worker.waitUntilReady()
        #expect(!worker.standardError.contains("<"))
    }
}
