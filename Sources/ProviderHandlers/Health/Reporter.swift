public import Logging

/// One report from beginning to end: collect, deliver, say how it went.
public final class Reporter: Sendable {
    /// How a run ended; the raw value is the exit status, named as in sysexits(3).
    public enum Outcome: Int32, Sendable {
        case delivered = 0
        /// EX_TEMPFAIL: not delivered this time.
        case notDelivered = 75
        /// EX_NOPERM: central refuses the report.
        case refused = 77
    }

    /// What nvidia-smi gets to die after its own limit, and a little more; a longer reading is reported as unknown.
    private static let gpuGrace = Duration.milliseconds(1500)

    private let configuration: Configuration
    private let collector: ReportCollector
    private let delivery: ReportDelivery
    private let logger: Logger
    /// Reads the GPUs while a report is collected.
    private let sampling = Locked(Sampling())

    private struct Sampling {
        var sampler: GPUSampler?
        var isStopped = false
    }

    public init(_ configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let local = HTTPClient(proxied: false)
        collector = ReportCollector(
            models: EngineModels(http: local, engine: configuration.ollama),
            tunnel: Tunnel(http: local, ngrok: configuration.ngrok, logger: logger),
            configuration: configuration)
        delivery = ReportDelivery(
            central: CentralClient(http: HTTPClient(proxied: true), provider: configuration.provider), logger: logger)
    }

    /// The report as JSON, collected within 10 s, or `gpu.nvidia_smi_timeout` and 1.5 s if that is longer.
    ///
    /// A part that is down is empty, not an error.
    public func report() -> [UInt8] {
        JSONAnswer.encode(collect())
    }

    /// Collects, as `report()` does, and delivers; blocks for up to 60 s more.
    public func run() -> Outcome {
        let report = collect()
        for error in report.errors ?? [] { logger.warning("reported without: \(error)") }
        let contents = "\(report.data.count) models, \(report.gpu?.gpuCount ?? 0) GPUs"
        switch delivery.deliver(JSONAnswer.encode(report)) {
        case .delivered(let attempts):
            logger.info("report delivered: \(contents), attempts \(attempts)")
            return .delivered
        case .notDelivered(let cause, let attempts):
            logger.error("report not delivered: \(cause), attempts \(attempts)")
            return .notDelivered
        case .refused(let status):
            logger.error("report refused: central answered \(status)\(Self.hint(status))")
            return .refused
        }
    }

    /// Ends nvidia-smi, if it runs, and lets no other be started; from any thread, for a process that is about to end.
    ///
    /// Blocks, for a second at most, while one is just being started.
    public func stop() {
        let sampler = sampling.withLock { sampling in
            sampling.isStopped = true
            return sampling.sampler
        }
        sampler?.stop(waitingForStart: .seconds(1))
    }

    private func collect() -> HealthReport {
        let started = ContinuousClock.now
        // One document of nvidia-smi has all that is reported: NVML would have to be initialized for as much.
        let sampler = GPUSampler(configuration.gpu, nvml: nil, logger: logger)
        // Known to `stop` before anything is started.
        let isStopped = sampling.withLock { sampling in
            sampling.sampler = sampler
            return sampling.isStopped
        }
        if !isStopped { sampler.start() }
        defer { sampler.stop() }
        let gpuLimit = configuration.gpu.nvidiaSMITimeout + Self.gpuGrace
        // The engine is asked while nvidia-smi runs. No completion runs in this process, so none is in flight.
        return collector.collect(
            {
                sampler.waitForFirstSample(timeout: gpuLimit - (ContinuousClock.now - started))
                return sampler.status
            }, inFlight: 0)
    }

    private static func hint(_ status: Int) -> String {
        switch status {
        case 401, 403: "; check provider.api_key"
        case 300..<400: ", a redirect; set provider.url to where it leads"
        case 404: "; check provider.url"
        default: ""
        }
    }
}
