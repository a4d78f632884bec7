import Logging
import ProviderHandlers

/// What the worker is put together from: parts that stay for as long as it runs, and a pipeline for each
/// configuration.
struct Assembly: Sendable {
    let logger: Logger
    let admission: Admission
    let sampler: GPUSampler
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
        admission = Admission(
            limit: configuration.server.maxInFlight, perSample: configuration.gpu.admitPerSample
        ) { sampler.reading }
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
        return Pipeline(
            maxBodyBytes: configuration.server.maxBodyBytes,
            admission: admission,
            hmac: HMACValidator(
                central: CentralClient(http: outside, provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(http: engine, engine: configuration.ollama, heldBytes: heldBytes),
            health: HealthCheck(
                collector: collector, gpu: { [sampler] in sampler.status },
                isGPUBusy: { [admission] in admission.isGPUBusy },
                willCollect: { [sampler] in sampler.refresh() }, logger: logger),
            logger: logger)
    }
}
