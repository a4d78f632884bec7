import Glibc
import Logging
import ProviderHandlers

/// What the worker is put together from: parts that stay for as long as it runs, and a pipeline for each
/// configuration.
struct Assembly: Sendable {
    let logger: Logger
    let admission: Admission
    let sampler: GPUSampler
    let watch: MachineWatch
    /// Takes nginx's word of forwarded completions; nil without a shared scoreboard, beside which its socket lies.
    let handoff: HandoffReceiver?
    private let recorder: RequestRecorder
    private let logSettings: LogSettings
    // A client for each peer: a transfer keeps one connection, which another peer's would displace.
    private let engine = HTTPClient(proxied: false)
    private let agent = HTTPClient(proxied: false)
    private let outside = HTTPClient(proxied: true)
    private let heldBytes = HeldBytes()

    init(_ configuration: Configuration) {
        logSettings = LogSettings(configuration.log)
        logger = Logger.standardError("provider-fcgi", logSettings)
        let sampler = GPUSampler(configuration.gpu, nvml: NVMLFeed(configuration.gpu), logger: logger)
        self.sampler = sampler
        let path = configuration.server.scoreboard
        let scoreboard = Scoreboard(
            path: path.isEmpty ? nil : path,
            worker: WorkerIdentity(name: Self.name, version: providerClientVersion, started: UInt64(time(nil))))
        admission = Admission(
            limit: configuration.server.maxInFlight, perSample: configuration.gpu.admitPerSample,
            scoreboard: scoreboard
        ) { sampler.reading }
        let recorder = RequestRecorder(scoreboard)
        self.recorder = recorder
        watch = MachineWatch(scoreboard: scoreboard, admission: admission, sampler: sampler, logger: logger)
        let logger = logger
        handoff = path.lastIndex(of: "/").map { slash in
            HandoffReceiver(directory: String(path[..<slash]), recorder: recorder, logger: logger)
        }
    }

    /// Has the parts that stay take up another configuration. Connections, samples and the count of requests in flight
    /// stay.
    func change(to configuration: Configuration) {
        logSettings.change(to: configuration.log)
        sampler.change(to: configuration.gpu)
        admission.change(limit: configuration.server.maxInFlight, perSample: configuration.gpu.admitPerSample)
    }

    /// The way of a request under a configuration.
    func pipeline(_ configuration: Configuration) -> Pipeline {
        let collector = ReportCollector(
            models: EngineModels(http: engine, engine: configuration.ollama),
            tunnel: Tunnel(
                http: agent, ngrok: configuration.ngrok, cloudflare: configuration.cloudflare, logger: logger),
            configuration: configuration)
        let health = HealthCheck(
            collector: collector, gpu: { [sampler] in sampler.status },
            isGPUBusy: { [admission] in admission.isGPUBusy },
            willCollect: { [sampler] in sampler.refresh() }, logger: logger)
        watch.change(to: configuration, health: health)
        if configuration.ollama.forward == .nginx { handoff?.start() }
        return Pipeline(
            maxBodyBytes: configuration.server.maxBodyBytes,
            admission: admission,
            hmac: HMACValidator(
                central: CentralClient(http: outside, provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(http: engine, engine: configuration.ollama, heldBytes: heldBytes),
            health: health, recorder: recorder, watch: watch,
            logger: logger)
    }

    /// The name in figures: the unit's instance, else the process.
    private static var name: String {
        let unit = Program.environment["WORKER_NAME"] ?? ""
        return unit.isEmpty ? "provider-fcgi[\(getpid())]" : unit
    }
}
