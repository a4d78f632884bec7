import TestSupport
import Testing

/// Of the environment of our programs, what their children get.
@Suite struct ChildEnvironmentTests {
    /// An nvidia-smi that notes its environment and fails.
    private static func program() throws -> FakeNvidiaSMI {
        try FakeNvidiaSMI(
            """
            cat /proc/$$/environ >$here/noting
            mv $here/noting $here/environment
            exit 9
            """)
    }

    /// No notification, nor a connection by a proxy, comes of these.
    private static let secret = OthersEnvironment.secret.filter { $0.key != "NOTIFY_SOCKET" }

    @Test func theWorkers() async throws {
        let program = try Self.program()
        let needed = OthersEnvironment.needed.merging(program.environment) { $1 }
        let deployment = try await Deployment(settings: needed.merging(Self.secret) { $1 })
        try await eventually("nvidia-smi has run") { program.written("environment") != nil }
        #expect(OthersEnvironment.parse(program.written("environment")) == needed)
        #expect(deployment.worker.ended == nil)
    }

    @Test func theReporters() async throws {
        let program = try Self.program()
        let needed = OthersEnvironment.needed.merging(program.environment) { $1 }
        let central = try ScriptedServer { try $0.respond(200, "") }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let reporter = try Deployment.reporter(
            engine: engine, central: central, settings: needed.merging(Self.secret) { $1 })
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(OthersEnvironment.parse(program.written("environment")) == needed)
    }
}
