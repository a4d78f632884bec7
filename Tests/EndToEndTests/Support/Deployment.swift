import Foundation
import TestSupport

/// What a provider's machine runs: real nginx, the built worker, and in place of Ollama and the central system two
/// servers that a test scripts.
final class Deployment: Sendable {
    static let apiKey = "key-of-the-provider"
    static let validHMAC: ScriptedServer.Script = { try $0.answer(200, #"{"valid":true}"#) }

    let engine: ScriptedServer
    let central: ScriptedServer
    let worker: ChildProcess
    let nginx: NginxServer
    /// Nil on a machine without nvidia-smi.
    let gpu: FakeGPU?
    let socket: String
    private let directory: TemporaryDirectory

    /// Starts everything; the worker is ready when this returns.
    ///
    /// - Parameters:
    ///   - settings: environment of the worker besides what connects the parts.
    ///   - gpu: what nvidia-smi shows; nil for a machine without one.
    ///   - forward: who sends completions to the engine, as `ollama.forward` says.
    init(
        forward: String = "worker", settings: [String: String] = [:], gpu state: FakeGPU.State? = nil,
        nginxDirectives: (String) -> String = { _ in "" },
        central: @escaping ScriptedServer.Script = Deployment.validHMAC,
        engine: @escaping ScriptedServer.Script = { try $0.answer(200, "{}") }
    ) async throws {
        self.engine = try ScriptedServer(engine)
        self.central = try ScriptedServer(central)
        directory = try TemporaryDirectory()
        socket = directory.path + "/fcgi.sock"
        gpu = try state.map { try FakeGPU($0) }
        var environment = Self.environment(engine: self.engine, central: self.central, gpu: gpu)
        environment["PROVIDER_SERVER_SOCKET"] = socket
        environment["PROVIDER_OLLAMA_FORWARD"] = forward
        environment.merge(settings) { $1 }
        nginx = try await NginxServer(
            workerSocket: socket, engine: "127.0.0.1:\(self.engine.port)",
            extraServerDirectives: nginxDirectives(socket))
        worker = try ChildProcess(
            try BuiltProduct.path("provider-fcgi"), ["--nginx-upstream", nginx.upstreamFile], environment: environment)
        try await worker.waitUntilReady()
    }

    /// The environment of either program: none of ours, so that what the machine has changes no test.
    static func environment(engine: ScriptedServer, central: ScriptedServer, gpu: FakeGPU?) -> [String: String] {
        [
            "PATH": gpu?.path ?? noPrograms,
            "PROVIDER_OLLAMA_URL": engine.url, "PROVIDER_URL": central.url, "PROVIDER_API_KEY": apiKey,
            "PROVIDER_NGROK_URL": "https://example.ngrok-free.app", "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02",
        ]
    }

    // MARK: Blocking calls, for `onThread`

    typealias Answer = (status: Int, head: HTTPHead, body: String)

    func fetch(_ method: String, _ target: String, headers: [String] = [], body: String? = nil) throws -> Answer {
        try HTTPProbe.fetch(port: nginx.port, method, target, headers: headers, body: body)
    }

    /// Sends a chat completion and leaves the answer to be read.
    func startCompletion(_ body: String = #"{"model":"m","stream":true}"#, headers: [String] = []) throws -> HTTPProbe {
        try HTTPProbe(
            port: nginx.port, "POST", "/v1/chat/completions", headers: ["Content-Type: application/json"] + headers,
            body: body)
    }

    func complete(_ body: String = #"{"model":"m"}"#, headers: [String] = []) throws -> Answer {
        try fetch("POST", "/v1/chat/completions", headers: ["Content-Type: application/json"] + headers, body: body)
    }

    func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try !condition() {
            guard ContinuousClock.now < deadline else {
                throw NeverHappened(description: "never happened: \(what); the worker said:\n\(worker.standardError)")
            }
            usleep(2000)
        }
    }
}

extension ChildProcess {
    /// Waits for the worker's word that it listens.
    func waitUntilReady() async throws {
        try await eventually("the worker is ready") {
            if let ended {
                throw NeverHappened(description: "the worker ended (\(ended)):\n\(standardError)")
            }
            return standardError.contains("ready: listening on")
        }
    }
}

/// A PATH without nvidia-smi, also on a machine that has one.
let noPrograms = "/nonexistent"
