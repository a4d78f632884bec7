import CFastCGI
import Logging
import ProviderHandlers

/// Puts the worker together, and takes it from its start to its end.
struct Worker {
    /// How long the GPU's first sample may take before requests are accepted all the same.
    private static let firstSampleLimit = Duration.seconds(5)
    /// How often threads are told to stop until they have; see `WorkerThreads.haveEnded`.
    private static let drainInterval = Duration.milliseconds(20)
    /// What threads get to send their last words once they are cut.
    private static let cutLimit = Duration.seconds(2)

    private let configuration: Configuration
    private let logger: Logger
    private let sampler: GPUSampler
    private let admission: Admission
    private let listener: Listener
    private let threads: WorkerThreads

    /// - Throws: `ListenError` when the socket cannot be had.
    init(_ loaded: LoadedConfiguration) throws(ListenError) {
        let configuration = loaded.configuration
        self.configuration = configuration
        logger = Logger.standardError("provider-fcgi", level: configuration.log.level)
        for warning in loaded.warnings { logger.warning("\(warning)") }
        // A client for each peer: a transfer keeps one connection, which another peer's would displace.
        let engine = HTTPClient(proxied: false)
        let agent = HTTPClient(proxied: false)
        let outside = HTTPClient(proxied: true)
        let sampler = GPUSampler(reader: NvidiaSMI(configuration.gpu), configuration: configuration.gpu, logger: logger)
        self.sampler = sampler
        let admission = Admission(limit: configuration.server.maxInFlight) {
            BusyRule.verdict(sampler.status, configuration.gpu)
        }
        self.admission = admission
        let pipeline = Pipeline(
            maxBodyBytes: configuration.server.maxBodyBytes,
            admission: admission,
            hmac: HMACValidator(
                central: CentralClient(http: outside, provider: configuration.provider),
                provider: configuration.provider, logger: logger),
            forwarder: CompletionForwarder(
                http: engine, engine: configuration.ollama, maxBodyBytes: configuration.server.maxBodyBytes),
            health: HealthCheck(
                collector: ReportCollector(
                    models: EngineModels(http: engine, engine: configuration.ollama),
                    tunnel: Tunnel(http: agent, ngrok: configuration.ngrok, logger: logger),
                    configuration: configuration),
                gpu: { sampler.status }, inFlight: { admission.inFlight }),
            logger: logger)
        listener = try Listener(configuration.server)
        threads = WorkerThreads(listener, pipeline, configuration: configuration, logger: logger)
    }

    /// Serves until a signal ends it.
    ///
    /// - Returns: the exit status.
    func run() throws(ListenError) -> CInt {
        guard FCGX_Init() == 0 else { throw ListenError(description: "libfcgi cannot be initialized") }
        sampler.start()
        // A request that came before the first sample would be refused as unknown: a restart must refuse nobody.
        sampler.waitForFirstSample(timeout: Self.firstSampleLimit)
        try threads.start()
        logger.info("ready: listening on \(listener.name), engine \(configuration.ollama.url)")
        ServiceManager.notify("READY=1")
        ProcessResources.releaseStartupPages()
        Signals.waitForStop()
        return stop()
    }

    private func stop() -> CInt {
        logger.info("stopping: \(admission.inFlight) requests in flight")
        ServiceManager.notify("STOPPING=1")
        threads.stop()
        let isDrained = waitForThreads(until: .now + configuration.server.drainTimeout, stopsOnSignal: true)
        if !isDrained {
            logger.warning("cutting \(admission.inFlight) requests in flight")
            admission.cutAll()
            _ = waitForThreads(until: .now + Self.cutLimit, stopsOnSignal: false)
        }
        sampler.stop()
        logger.info("stopped")
        return isDrained ? 0 : 1
    }

    private func waitForThreads(until deadline: ContinuousClock.Instant, stopsOnSignal: Bool) -> Bool {
        while !threads.haveEnded() {
            let isSignalled = Signals.waitForStop(limit: Self.drainInterval)
            if isSignalled && stopsOnSignal || ContinuousClock.now > deadline { return false }
        }
        return true
    }
}
