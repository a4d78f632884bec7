import Foundation
import Logging
import Synchronization

@testable import ProviderHandlers

/// Sends requests of any shape through the pipeline to an engine and a central system that look at what reaches them.
///
/// Input: three bytes choose method, path and circumstances. Lines give method, path, query, length, content type, accept,
/// user agent and HMAC; the rest is the body.
final class RequestFuzzer: Sendable {
    static let shared = RequestFuzzer()

    private static let maxBodyBytes = 80_000
    private static let key = "0123456789abcdef"
    private static let verdicts = [(200, #"{"valid":true}"#), (401, #"{"valid":false}"#), (200, "?"), (500, "")]

    private let engine: WirePeer
    private let central: WirePeer
    private let verdict: Shared
    /// One for each policy.
    private let optional: Pipeline
    private let required: Pipeline

    private final class Shared: Sendable {
        let number = Atomic(0)
    }

    private init() {
        signal(SIGPIPE, SIG_IGN)
        let verdict = Shared()
        self.verdict = verdict
        engine = WirePeer { $0.startLine.hasPrefix("GET /v1/models ") ? (200, #"{"data":[]}"#) : (404, "{}") }
        central = WirePeer { _ in Self.verdicts[verdict.number.load(ordering: .relaxed)] }
        optional = Self.pipeline(.optional, engine: engine.url, central: central.url)
        required = Self.pipeline(.required, engine: engine.url, central: central.url)
    }

    private static func pipeline(_ policy: Configuration.HMACPolicy, engine: String, central: String) -> Pipeline {
        var configuration = Configuration()
        configuration.ollama.url = engine
        configuration.provider.url = central
        configuration.provider.apiKey = Secret(key)
        configuration.provider.hmac = policy
        configuration.ngrok.url = "https://example"
        let http = HTTPClient(proxied: false)
        let logger = Logger(label: "fuzz") { _ in LineCheck() }
        let scoreboard = Scoreboard(path: nil, worker: WorkerIdentity(name: "fuzz", version: "0", started: 0))
        return Pipeline(
            maxBodyBytes: maxBodyBytes,
            admission: Admission(limit: 1, perSample: 0, scoreboard: scoreboard) { (.idle, nil) },
            hmac: HMACValidator(
                central: CentralClient(http: HTTPClient(proxied: false), provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(http: http, engine: configuration.ollama),
            health: HealthCheck(
                collector: ReportCollector(
                    models: EngineModels(http: http, engine: configuration.ollama),
                    tunnel: Tunnel(
                        http: http, ngrok: configuration.ngrok, cloudflare: configuration.cloudflare, logger: logger),
                    configuration: configuration),
                gpu: { .absent }, isGPUBusy: { false }, logger: logger),
            recorder: RequestRecorder(scoreboard), watch: nil, logger: logger)
    }

    func run(_ bytes: [UInt8]) {
        guard let input = RequestInput(bytes) else { return }
        let client = FakeClient(input.request, body: input.body, canLeave: false)
        verdict.number.store(input.verdict, ordering: .relaxed)
        (input.isHMACRequired ? required : optional).handle(client)

        let (atEngine, atCentral) = (engine.take().filter { !$0.startLine.hasPrefix("GET ") }, central.take())
        precondition(atEngine.count <= 1 && atCentral.count <= 1, "more than one request")
        if let seen = atCentral.first { checkCentral(seen, input.request) }
        if let seen = atEngine.first {
            input.checkEngine(seen, isAllowed: isAllowed(input, wasAsked: !atCentral.isEmpty))
        }
        // A client that is still there gets one response, in JSON.
        let response = client.response
        guard let head = response.head else { return }
        precondition(head.headers.first("Content-Type") == "application/json")
        precondition(head.headers.first("Content-Length") != nil)
        if input.request.method == "HEAD" { return precondition(response.body.isEmpty) }
        precondition(json(response.body) != nil)
        // The engine's response is an empty object; every other response has a reason of ours.
        let isOurs = (json(response.body) as? [String: Any])?.isEmpty == false
        precondition(isOurs == atEngine.isEmpty)
    }

    private func isAllowed(_ input: RequestInput, wasAsked: Bool) -> Bool {
        input.request.hmac.isEmpty ? !input.isHMACRequired : wasAsked && input.verdict == 0
    }

    private func checkCentral(_ seen: WirePeer.Seen, _ request: Request) {
        precondition(seen.startLine == "POST /api/provider/validate_hmac HTTP/1.1")
        precondition(
            seen.fields == [
                "host": [String(central.url.dropFirst("http://".count))], "content-type": ["application/json"],
                "accept": ["application/json"], "authorization": ["Bearer " + Self.key],
                "content-length": ["\(seen.body.count)"],
            ])
        // The HMAC to the byte, and nothing else.
        precondition(json(seen.body) as? [String: String] == ["hmac": request.hmac])
    }
}

/// Makes each line of the log as the worker does, in both forms, and looks at its shape.
private struct LineCheck: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let line = LogLine(
            level: event.level, message: event.message.description, fields: event.metadata ?? [:])
        precondition(isOneLine(line.text(hasPriority: true)))
        precondition(json(Array(line.json(at: Date()).utf8)) is [String: Any])
    }
}
