import TestSupport
import Testing

/// Warnings about an API key that goes over the network unencrypted.
@Suite struct PlainHTTPTests {
    /// Reserved for documentation (RFC 5737); no request goes there.
    private static let url = "http://192.0.2.1:8000"
    private static let warning =
        "provider.url: the API key goes over the network unencrypted to \(url); use https://\n"

    @Test func theWorkerSaysItAtTheStart() async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_URL": Self.url])
        #expect(deployment.worker.standardError.contains("<4>" + Self.warning))
        #expect(!deployment.worker.standardError.contains(Deployment.apiKey))
        let local = try await Deployment()
        #expect(!local.worker.standardError.contains("unencrypted"))
    }

    @Test func theWorkerSaysItWhenItReloads() async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_URL": nil])
        #expect(!deployment.worker.standardError.contains("unencrypted"))
        try deployment.reload("provider: {url: '\(Self.url)'}\n")
        try await eventually("it has been reloaded") {
            deployment.worker.standardError.contains(": provider.url\n")
        }
        #expect(deployment.worker.standardError.contains("<4>" + Self.warning))
        #expect(!deployment.worker.standardError.contains(Deployment.apiKey))
    }

    @Test(arguments: [("provider-fcgi", "--check-config"), ("provider-reporter", "--dry-run")])
    func soDoTheOthers(program: String, option: String) async throws {
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let environment = Deployment.environment(engine: engine, central: engine, gpu: nil)
        for (url, isWarned) in [(Self.url, true), ("http://127.0.0.1:1", false)] {
            let process = try ChildProcess(
                try BuiltProduct.path(program), [option], environment: environment.merging(["PROVIDER_URL": url]) { $1 }
            )
            #expect(try await process.waitForExit() == .status(0))
            #expect(process.standardError.contains(Self.warning) == isWarned, "\(process.standardError)")
            #expect(!process.standardError.contains(Deployment.apiKey))
        }
    }

    /// Said, and delivered all the same.
    @Test(.enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func theReporterSaysIt() async throws {
        let central = try ScriptedServer { try $0.respond(200, "") }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let directory = try TemporaryDirectory()
        let hosts = try directory.write("127.0.0.1 central.example\n", to: "hosts")
        let url = "http://central.example:\(central.port)"
        let reporter = try Deployment.reporter(
            behind: MountNamespace.showing(hosts, as: "/etc/hosts"), engine: engine, settings: ["PROVIDER_URL": url])
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(central.requests == ["POST /api/provider/health HTTP/1.1"])
        #expect(
            reporter.standardError.contains(
                "<4>provider.url: the API key goes over the network unencrypted to \(url); use https://\n"))
    }
}
