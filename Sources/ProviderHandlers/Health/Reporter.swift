import FoundationEssentials
public import Logging

/// Collects and delivers one report, and logs the outcome.
///
/// The central system deletes each model that a report leaves out, with its price. So without the engine's list nothing is
/// sent. A GPU in trouble or a missing public URL does not stop a report.
public final class Reporter: Sendable {
    /// How a run ended; the raw value is the exit status, named as in sysexits(3).
    public enum Outcome: Int32, Sendable {
        case delivered = 0
        /// EX_TEMPFAIL: not delivered; the next run may succeed.
        case notDelivered = 75
        /// EX_NOPERM: the central system refuses the report.
        case refused = 77
    }

    /// Added to nvidia-smi's limit: its grace period to end, and a little more. A longer reading is reported as unknown.
    private static let gpuGrace = Duration.milliseconds(1500)
    /// For each request for the engine's list: a gateway that asks other engines can take many seconds.
    private static let modelsLimit = Duration.seconds(30)
    /// For each program that knows a public URL.
    private static let tunnelLimit = Duration.seconds(5)
    /// Reserved for tunnels and delivery when the engine's list comes late.
    private static let deliveryReserve = Duration.seconds(4)

    private let configuration: Configuration
    private let missingKey: String?
    private let collector: ReportCollector
    private let central: CentralClient
    private let logger: Logger
    /// Reads the GPUs once there is a list to report.
    private let sampling = Locked(Sampling())

    private struct Sampling {
        var sampler: GPUSampler?
        var isStopped = false
    }

    public init(_ loaded: LoadedConfiguration, logger: Logger) {
        let configuration = loaded.configuration
        self.configuration = configuration
        missingKey = loaded.missingKey
        self.logger = logger
        let local = HTTPClient(proxied: false)
        collector = ReportCollector(
            models: EngineModels(http: local, engine: configuration.ollama),
            tunnel: Tunnel(
                http: local, ngrok: configuration.ngrok, cloudflare: configuration.cloudflare, logger: logger),
            configuration: configuration)
        central = CentralClient(http: HTTPClient(proxied: true), provider: configuration.provider)
    }

    /// The report that would be sent now.
    ///
    /// - Returns: the report as JSON, without the parts that cannot be read, and why it would not be sent; nil if it would.
    public func preview() -> (report: [UInt8], obstacle: String?) {
        let deadline = deadline
        let models = models(within: Self.modelsLimit)
        let report = report(models, until: deadline)
        var obstacles: [String] = []
        if case .failure(let cause) = models { obstacles.append("engine: \(cause)") }
        if let missingKey { obstacles.append(missingKey) }
        return (JSON.encode(report), obstacles.isEmpty ? nil : obstacles.joined(separator: "; "))
    }

    /// Collects, delivers, and leaves a record of it; blocks for about `provider.report_timeout` at most.
    ///
    /// - Parameter interval: seconds until the next run.
    public func run(interval: Double = ReportRecord.timerInterval) -> Outcome {
        let started = Date().timeIntervalSince1970
        let result = report()
        record(result, started: started, interval: interval)
        return result.outcome
    }

    /// What came of a run, in a sentence without a full stop, and the central system's status if it responded.
    private typealias RunResult = (outcome: Outcome, text: String, status: Int?)

    private func report() -> RunResult {
        let deadline = deadline
        let models: [Model]
        switch waitForModels(until: deadline) {
        case .success(let list): models = list
        case .failure(let cause): return (.notDelivered, "the engine gives no list of models: \(cause)", nil)
        }
        if models.isEmpty {
            logger.warning("the engine has no model: the central system removes the models of earlier reports")
        }
        let report = report(.success(models), until: deadline)
        for error in report.errors ?? [] { logger.warning("report is incomplete: \(error)") }
        let delivery = ReportDelivery(central: central, limit: deadline - .now, logger: logger)
        var status: Int?
        switch delivery.deliver(JSON.encode(report), status: &status) {
        case .delivered(let attempts):
            logger.info("report delivered: \(Self.contents(report)), attempts \(attempts)")
            return (.delivered, "accepted", status)
        case .notDelivered(let cause, let attempts):
            logger.error("report not delivered: \(cause), attempts \(attempts)")
            return (.notDelivered, "not delivered: \(cause)", status)
        case .refused(let status):
            logger.error("report refused: the central system responded with \(status)\(hint(status))")
            let reason =
                [401, 403].contains(status) ? "central refused the key" : "central refused the report (\(status))"
            return (.refused, reason, status)
        }
    }

    private func record(_ result: RunResult, started: Double, interval: Double) {
        guard let path = ReportRecord.path(configuration) else { return }
        let former = ReportRecord(path: path)
        let record = ReportRecord(
            lastAttempt: started, lastSuccess: result.outcome == .delivered ? started : former?.lastSuccess,
            exitStatus: result.outcome.rawValue, outcome: result.text, responseStatus: result.status,
            interval: interval)
        if let problem = record.write(to: path) {
            logger.warning("the outcome is not recorded for metrics: \(problem)")
        }
    }

    /// Ends a running nvidia-smi and prevents the next run; from any thread, for a process that is about to end.
    ///
    /// Blocks, for a second at most, while nvidia-smi is being started.
    public func stop() {
        let sampler = sampling.withLock { sampling in
            sampling.isStopped = true
            return sampling.sampler
        }
        sampler?.stop(waitingForStart: .seconds(1))
    }

    private var gpuLimit: Duration { configuration.gpu.nvidiaSMITimeout + Self.gpuGrace }

    private var deadline: ContinuousClock.Instant { .now + configuration.provider.reportTimeout }

    private static func contents(_ report: HealthReport) -> String {
        let urls = [report.ngrok.url, report.cloudflare?.url ?? ""].count { !$0.isEmpty }
        return "\(report.data.count) models, \(report.gpu?.gpuCount ?? 0) GPUs, \(urls) public URLs"
    }

    private func hint(_ status: Int) -> String {
        switch status {
        case 401, 403: "; \(configuration.provider.keyAdvice)"
        case 300..<400: ", a redirect; set provider.url to where it leads"
        case 404: "; check provider.url"
        default: ""
        }
    }
}

extension Reporter {
    private func models(within limit: Duration) -> Result<[Model], NoModelList> {
        do throws(NoModelList) {
            return .success(try collector.models(within: limit))
        } catch {
            return .failure(error)
        }
    }

    /// Asks the engine until it gives a list, with a backoff, and gives up when the time for it is over.
    ///
    /// - Returns: nil without a list; the log then has the reason and advice.
    private func waitForModels(until deadline: ContinuousClock.Instant) -> Result<[Model], NoModelList> {
        let timeout = configuration.provider.reportTimeout
        let end = deadline - min(gpuLimit + Self.deliveryReserve, timeout / 2)
        // Leaves time for a last request after the last pause.
        let lastQuestion = timeout / 30
        var attempts = 0
        var told: NoModelList.Kind?
        while true {
            attempts += 1
            let cause: NoModelList
            switch models(within: min(Self.modelsLimit, end - .now)) {
            case .success(let models): return .success(models)
            case .failure(let failure): cause = failure
            }
            let rest = end - ContinuousClock.now - lastQuestion
            guard rest > .zero else {
                logger.error(
                    """
                    report not sent: engine: \(cause); asked \(attempts) times within provider.report_timeout; \
                    start the engine or correct ollama.url (provider-reporter --dry-run shows what it says)
                    """)
                return .failure(cause)
            }
            let pause = min(ReportDelivery.backoff(attempts), rest)
            // One warning for each kind of trouble in a run.
            logger.log(
                level: cause.kind == told ? .debug : .warning,
                "nothing to report yet: engine: \(cause); asking again in \(pause.milliseconds) ms")
            told = cause.kind
            ReportDelivery.sleep(pause)
        }
    }

    private func report(
        _ models: Result<[Model], NoModelList>, until deadline: ContinuousClock.Instant
    ) -> HealthReport {
        let urls = collector.urls(within: min(Self.tunnelLimit, max(.milliseconds(1), (deadline - .now) / 4)))
        let status = readGPUs(within: min(gpuLimit, (deadline - .now) * 0.75))
        // No completion runs in this process.
        return collector.report(
            .init(models: models, urls: urls), .init(status: status, isBusy: collector.isBusy(status)))
    }

    private func readGPUs(within limit: Duration) -> GPUStatus {
        // One document of nvidia-smi has everything that is reported; NVML would take longer to initialize.
        let sampler = GPUSampler(configuration.gpu, nvml: nil, logger: logger)
        // Set before the start, so that `stop` finds it.
        let isStopped = sampling.withLock { sampling in
            sampling.sampler = sampler
            return sampling.isStopped
        }
        if !isStopped { sampler.start() }
        defer { sampler.stop() }
        sampler.waitForFirstSample(timeout: limit)
        return sampler.status
    }
}
