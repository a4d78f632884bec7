import TestSupport
import Testing

/// Certificates are verified wherever TLS is spoken; for the worker and the central system see `CentralTrustTests`.
@Suite(
    .enabled(if: Tool.isExpected("openssl"), "openssl is missing"),
    .enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
struct CertificateTests {
    private static let certificates = [
        (TLSServer.Certificate.good, ""), (.expired, "certificate has expired"),
        (.ofAnotherHost, "no alternative certificate subject name matches"),
        (.selfSigned, "self-signed certificate"),
    ]

    /// The key and the report go to the central system only.
    @Test(arguments: certificates)
    func theReportersCentral(certificate: TLSServer.Certificate, cause: String) async throws {
        let central = try await TLSServer(certificate)
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let reporter = try Deployment.reporter(
            behind: central.trustingCommand, engine: engine,
            settings: ["PROVIDER_URL": central.url, "PROVIDER_LOG_LEVEL": "debug"])
        if certificate == .good {
            #expect(try await reporter.waitForExit() == .status(0))
            try await eventually("central has logged it") { central.requests.contains("\n") }
            #expect(central.requests == "POST /api/provider/health HTTP/1.1 Bearer \(Deployment.apiKey)\n")
        } else {
            // It would try again for a minute.
            try await eventually("it has tried") { reporter.standardError.contains("attempt 1: cannot connect: ") }
            #expect(reporter.standardError.contains(cause))
            #expect(central.requests.isEmpty)
        }
    }

    /// Prompts go to the engine only, and only its responses count.
    @Test(arguments: certificates)
    func theEngine(certificate: TLSServer.Certificate, cause: String) async throws {
        let engine = try await TLSServer(certificate, response: (200, #"{"data":[{"id":"m"}]}"#))
        let deployment = try await Deployment(
            settings: ["PROVIDER_OLLAMA_URL": engine.url], workerCommand: engine.trustingCommand)
        try await onThread {
            let response = try deployment.complete()
            let isGood = certificate == .good
            #expect(response.status == (isGood ? 200 : 502))
            #expect(response.body.contains(isGood ? #""id":"m""# : #""code":"engine_unreachable""#))
            try deployment.waitUntil("it has been asked for its models") {
                let health = try deployment.fetch("GET", "/health").body
                return health.contains(isGood ? #""id":"m""# : cause)
            }
            if isGood {
                try deployment.waitUntil("it has logged both") { engine.requests.split(separator: "\n").count >= 2 }
                #expect(engine.requests.contains("POST /v1/chat/completions HTTP/1.1 -\n"))
                #expect(engine.requests.contains("GET /v1/models HTTP/1.1 -\n"))
            } else {
                try deployment.waitUntil("it is in the log") { deployment.worker.standardError.contains(cause) }
                #expect(engine.requests.isEmpty)
            }
        }
    }

    /// The reporter lists only the engine's models.
    @Test(arguments: certificates)
    func theReportersEngine(certificate: TLSServer.Certificate, cause: String) async throws {
        let engine = try await TLSServer(certificate, response: (200, #"{"data":[{"id":"m"}]}"#))
        let unused = try ScriptedServer { try $0.respond(404, "") }
        let reporter = try Deployment.reporter(
            behind: engine.trustingCommand, ["--dry-run"], engine: unused,
            settings: ["PROVIDER_OLLAMA_URL": engine.url])
        #expect(try await reporter.waitForExit() == .status(0))
        let report = reporter.standardOutput
        #expect(report.contains(certificate == .good ? #""id":"m""# : #""errors":["engine: cannot connect: "#))
        #expect(report.contains(cause) || certificate == .good)
        #expect(engine.requests.isEmpty || certificate == .good)
    }
}
