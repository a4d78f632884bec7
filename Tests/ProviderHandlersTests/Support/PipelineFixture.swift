import Foundation
import Logging
import TestSupport

@testable import ProviderHandlers

/// The whole pipeline between a fake client and a scripted engine and a scripted central system, with no FastCGI and no
/// worker.
final class PipelineFixture: Sendable {
    static let apiKey = "key-of-the-provider"

    let engine: ScriptedServer
    let central: ScriptedServer
    let pipeline: Pipeline
    let admission: Admission
    let scoreboard: Scoreboard
    let log = RecordingLog()
    private let verdict: SharedValue<BusyVerdict>
    private let current: SharedValue<GPUStatus>
    private let rule: Configuration.GPU

    /// By default the GPU is what `status` makes of it, the engine responds with `{}` and the central system holds every HMAC
    /// valid.
    init(
        configure: (inout Configuration) -> Void = { _ in },
        gpu: BusyVerdict? = nil, sample: UInt64? = nil, status: GPUStatus = .absent,
        freshness: Duration = .seconds(600), maxAge: Duration = .seconds(600), heldBytes: HeldBytes = HeldBytes(),
        central centralScript: @escaping ScriptedServer.Script = FakeCentral.valid,
        engine engineScript: @escaping ScriptedServer.Script = FakeEngine.object
    ) throws {
        let engine = try ScriptedServer(engineScript)
        let central = try ScriptedServer(centralScript)
        var configuration = Configuration()
        configuration.ollama.url = engine.url
        configuration.provider.url = central.url
        configuration.provider.apiKey = Secret(Self.apiKey)
        configuration.ngrok.url = "https://example.ngrok-free.app"
        configure(&configuration)
        let logger = log.logger
        let current = SharedValue(status)
        let verdict = SharedValue(gpu ?? BusyRule.verdict(status, configuration.gpu))
        let scoreboard = Scoreboard.private
        let admission = Admission(
            limit: configuration.server.maxInFlight, perSample: configuration.gpu.admitPerSample,
            scoreboard: scoreboard
        ) { (verdict.value, sample.map { .init(number: $0) }) }
        let http = HTTPClient(proxied: false)
        pipeline = Pipeline(
            maxBodyBytes: configuration.server.maxBodyBytes,
            admission: admission,
            hmac: HMACValidator(
                central: CentralClient(http: HTTPClient(proxied: false), provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(http: http, engine: configuration.ollama, heldBytes: heldBytes),
            health: HealthCheck(
                collector: ReportCollector(
                    models: EngineModels(http: http, engine: configuration.ollama),
                    tunnel: Tunnel(
                        http: HTTPClient(proxied: false), ngrok: configuration.ngrok,
                        cloudflare: configuration.cloudflare, logger: logger),
                    configuration: configuration),
                gpu: { current.value }, isGPUBusy: { admission.isGPUBusy }, freshness: freshness,
                maxAge: maxAge, logger: logger),
            recorder: RequestRecorder(scoreboard), watch: nil, logger: logger)
        self.scoreboard = scoreboard
        self.engine = engine
        self.central = central
        self.admission = admission
        self.verdict = verdict
        self.current = current
        rule = configuration.gpu
    }

    func setGPU(_ verdict: BusyVerdict) {
        self.verdict.value = verdict
    }

    /// Sets another state, and the busy rule's verdict on it.
    func setGPU(_ status: GPUStatus) {
        current.value = status
        setGPU(BusyRule.verdict(status, rule))
    }

    /// Handles one request to its end; blocks.
    @discardableResult
    func handle(_ client: FakeClient) -> FakeClient.Response {
        pipeline.handle(client)
        return client.response
    }

    /// Handles a completion; blocks.
    @discardableResult
    func complete(_ body: String = #"{"model":"m"}"#, hmac: String = "") -> FakeClient.Response {
        handle(.completion(body, hmac: hmac))
    }
}

extension FakeClient {
    /// A POST to /v1/chat/completions.
    static func completion(
        _ body: String = #"{"model":"m"}"#, hmac: String = "", query: String = "", declaresLength: Bool = true
    ) -> FakeClient {
        let bytes = Array(body.utf8)
        return FakeClient(
            Request(
                method: "POST", path: "/v1/chat/completions", query: query,
                contentLength: declaresLength ? bytes.count : nil, id: "r1", contentType: "application/json",
                hmac: hmac),
            body: bytes)
    }

    static func get(_ path: String, method: String = "GET") -> FakeClient {
        FakeClient(Request(method: method, path: path))
    }
}

extension FakeClient.Response {
    /// The code of an error in OpenAI's shape; nil when the body is none.
    var code: String? {
        struct Body: Decodable {
            struct Detail: Decodable { let code: String }
            let error: Detail
        }
        return (try? JSONDecoder().decode(Body.self, from: Data(body)))?.error.code
    }
}

extension Scoreboard {
    /// A scoreboard of this process alone.
    static var `private`: Scoreboard {
        Scoreboard(path: nil, worker: WorkerIdentity(name: "test", version: "0", started: 0))
    }
}
