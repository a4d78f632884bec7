import Foundation
import Synchronization
import TestSupport

/// What a provider's machine runs: real nginx, the built worker, and in place of Ollama and the central system two
/// servers that a test scripts.
final class Deployment: Sendable {
    static let apiKey = "key-of-the-provider"

    let engine: ScriptedServer
    let central: ScriptedServer
    var worker: ChildProcess { process.withLock { $0 } }
    let nginx: NginxServer
    /// Nil on a machine with a GPU that is always idle.
    let gpu: FakeGPU?
    /// Kept: its directory holds the library, which every new child of the worker's loads.
    private let nvml: FakeNVML?
    let socket: String
    /// The worker's own, for other programs with the same configuration.
    let workerEnvironment: [String: String]
    let configurationPath: String
    private let directory: TemporaryDirectory
    private let process: Mutex<ChildProcess>
    private let launch: @Sendable () throws -> ChildProcess

    private static let configurationFile = "config.yaml"

    /// Starts everything; the worker is ready when this returns.
    ///
    /// - Parameters:
    ///   - forward: who sends completions to the engine, as `ollama.forward` says.
    ///   - host: what `ollama.url` calls the engine in place of 127.0.0.1.
    ///   - settings: environment of the worker besides what connects the parts; it overrides the file. nil takes
    ///     a variable away.
    ///   - configuration: contents of the worker's configuration file.
    ///   - gpu: what nvidia-smi shows; nil for one idle GPU.
    ///   - nvml: the library in place of NVIDIA's, which is then asked before nvidia-smi.
    ///   - workerCommand: runs the worker, whose command line follows; it has to become the worker.
    ///   - nginxCommand: the same for nginx.
    ///   - inherited: the socket that the worker is handed as systemd does; nil lets it make one.
    ///   - limitsClients, nginxReplacements: as `NginxServer` takes them.
    init(
        forward: String = "worker", namesEngine host: String? = nil, settings: [String: String?] = [:],
        configuration: String = "",
        gpu state: FakeGPU.State? = nil, nvml: FakeNVML? = nil,
        workerCommand: [String] = [], nginxCommand: [String] = [], inherited: UnixListener? = nil,
        limitsClients: Bool = false, nginxReplacements: [(String, String)] = [],
        nginxDirectives: (String) -> String = { _ in "" },
        central: @escaping ScriptedServer.Script = FakeCentral.valid,
        engine: @escaping ScriptedServer.Script = FakeEngine.object
    ) async throws {
        self.engine = try ScriptedServer(engine)
        self.central = try ScriptedServer(central)
        directory = try TemporaryDirectory()
        socket = inherited?.path ?? directory.path + "/fcgi.sock"
        gpu = try state.map { try FakeGPU($0) }
        self.nvml = nvml
        // A test with its own source has no other source.
        let ownPath = settings["PATH"] ?? (nvml == nil ? nil : noPrograms)
        var environment = Self.environment(engine: self.engine, central: self.central, gpu: gpu, path: ownPath)
        environment["PROVIDER_SERVER_SOCKET"] = socket
        if let nvml { environment.merge(nvml.environment.merging(["PROVIDER_GPU_SOURCE": "auto"]) { $1 }) { $1 } }
        if forward != "worker" { environment["PROVIDER_OLLAMA_FORWARD"] = forward }
        if let host { environment["PROVIDER_OLLAMA_URL"] = "http://\(host):\(self.engine.port)" }
        for (name, value) in settings { environment[name] = value }
        let file = try directory.write(configuration, to: Self.configurationFile, mode: 0o600)
        nginx = try await NginxServer(
            workerSocket: socket, engine: "127.0.0.1:\(self.engine.port)", command: nginxCommand,
            limitsClients: limitsClients, extraServerDirectives: nginxDirectives(socket), replacing: nginxReplacements)
        let arguments = ["--config", file, "--nginx-upstream", nginx.upstreamFile]
        let variables = environment
        workerEnvironment = environment
        configurationPath = file
        launch = {
            try .worker(
                behind: workerCommand, arguments, environment: variables, standardInput: inherited?.descriptor,
                logsToJournal: true)
        }
        process = Mutex(try launch())
        try await worker.waitUntilReady()
    }

    /// Starts another worker in place of an ended worker; does not wait until it is ready.
    func startWorker() throws {
        let next = try launch()
        process.withLock { $0 = next }
    }

    /// The environment of either program: none of ours, so that what the machine has changes no test.
    ///
    /// - Parameters:
    ///   - gpu: nil for a GPU that is always idle.
    ///   - path: where nvidia-smi is looked for in its place.
    static func environment(
        engine: ScriptedServer, central: ScriptedServer, gpu: FakeGPU?, path: String? = nil
    ) -> [String: String] {
        let path = gpu?.path ?? path
        return [
            "PATH": path ?? idleGPU,
            "PROVIDER_OLLAMA_URL": engine.url, "PROVIDER_URL": central.url, "PROVIDER_API_KEY": apiKey,
            "PROVIDER_NGROK_URL": "https://example.ngrok-free.app", "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02",
            // Not the real NVML of the machine, nor its AMD GPUs.
            "PROVIDER_GPU_SOURCE": "nvidia-smi",
        ].merging(path == nil ? Self.askedOnce : [:]) { $1 }
    }

    /// The idle GPU is looked at when the program starts, however long that takes, and then no more.
    private static let askedOnce = [
        "PROVIDER_GPU_SAMPLE_INTERVAL": "3600", "PROVIDER_GPU_MAX_SAMPLE_AGE": "7200",
        "PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "600",
    ]

    /// Gives the worker another configuration file and tells it so.
    func reload(_ configuration: String) throws {
        try directory.write(configuration, to: Self.configurationFile, mode: 0o600)
        worker.send(signal: SIGHUP)
    }

    // MARK: Blocking calls, for `onThread`

    typealias Response = (status: Int, head: HTTPHead, body: String)

    func fetch(_ method: String, _ target: String, headers: [String] = [], body: String? = nil) throws -> Response {
        try HTTPProbe.fetch(port: nginx.port, method, target, headers: headers, body: body)
    }

    /// Sends a chat completion and leaves the response to be read.
    func startCompletion(_ body: String = #"{"model":"m","stream":true}"#, headers: [String] = []) throws -> HTTPProbe {
        try HTTPProbe(
            port: nginx.port, "POST", "/v1/chat/completions", headers: ["Content-Type: application/json"] + headers,
            body: body)
    }

    func complete(_ body: String = #"{"model":"m"}"#, headers: [String] = []) throws -> Response {
        try fetch("POST", "/v1/chat/completions", headers: ["Content-Type: application/json"] + headers, body: body)
    }

    func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
        try TestSupport.waitUntil(what, detail: { "; the worker said:\n\(worker.standardError)" }, condition)
    }
}
