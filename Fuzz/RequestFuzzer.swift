import Foundation
import Logging

@testable import ProviderHandlers

/// Sends requests of any shape through the pipeline, whose engine and central refuse connections.
///
/// Input: lines for method, path, query, length, content type, accept, user agent and HMAC; the rest is the body.
final class RequestFuzzer: Sendable {
    static let shared = RequestFuzzer()

    private let pipeline: Pipeline

    private init() {
        var configuration = Configuration()
        // Nothing listens there: port 1 is reserved.
        configuration.ollama.url = "http://127.0.0.1:1"
        configuration.provider.url = "http://127.0.0.1:1"
        configuration.ngrok.url = "https://example"
        configuration.server.maxBodyBytes = 1000
        let http = HTTPClient(proxied: false)
        let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
        let admission = Admission(limit: 1, perSample: 0) { (.idle, nil) }
        pipeline = Pipeline(
            maxBodyBytes: 1000, admission: admission,
            hmac: HMACValidator(
                central: CentralClient(http: http, provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(http: http, engine: configuration.ollama),
            health: HealthCheck(
                collector: ReportCollector(
                    models: EngineModels(http: http, engine: configuration.ollama),
                    tunnel: Tunnel(http: http, ngrok: configuration.ngrok, logger: logger),
                    configuration: configuration),
                gpu: { .absent }, inFlight: { 0 }),
            logger: logger)
    }

    func run(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: 0x0A, maxSplits: 8, omittingEmptySubsequences: false)
        func text(_ index: Int) -> String {
            index < parts.count ? String(decoding: parts[index], as: UTF8.self) : ""
        }
        let paths = ["/v1/chat/completions", "/v1/completions", "/busy", text(1)]
        var request = Request(
            method: text(0).isEmpty ? "POST" : text(0), path: paths[Int(bytes.first ?? 0) % 4], query: text(2),
            contentLength: nil, contentType: text(4), accept: text(5), userAgent: text(6), hmac: text(7))
        request.setContentLength(text(3))
        let client = MemoryClient(request, body: parts.count > 8 ? parts[8] : [])
        pipeline.handle(client)
        // Whoever is still there gets one answer, in JSON.
        guard let head = client.head else { return }
        precondition(head.headers.first("Content-Type") == "application/json")
        if request.method == "HEAD" { return precondition(client.answer.isEmpty) }
        precondition((try? JSONSerialization.jsonObject(with: Data(client.answer))) != nil)
    }
}
