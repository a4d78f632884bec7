/// Gathers the parts of a report: models from the engine, the public URL, and the GPU state it is given.
public struct ReportCollector: Sendable {
    private let models: EngineModels
    private let tunnel: Tunnel
    private let providerType: String
    private let gpu: Configuration.GPU

    public init(models: EngineModels, tunnel: Tunnel, configuration: Configuration) {
        self.models = models
        self.tunnel = tunnel
        providerType = configuration.provider.type
        gpu = configuration.gpu
    }

    /// The engine gets most of the time: it may be loading a model; the agent is a local program that answers at once.
    private static let modelsLimit = Duration.seconds(3)
    private static let tunnelLimit = Duration.seconds(1)

    /// Collects within 4 s; what is down is missing from the report and named in its errors.
    ///
    /// - Parameters:
    ///   - status: asked last, so that a GPU being read meanwhile is in.
    ///   - inFlight: requests of ours that run, which decide when no GPU tells its utilization.
    func collect(_ status: () -> GPUStatus, inFlight: Int) -> HealthReport {
        var errors: [String] = []
        var list: [Model] = []
        do throws(HTTPError) {
            list = try models.list(within: Self.modelsLimit)
        } catch {
            errors.append("engine: \(error)")
        }
        let url = tunnel.url(within: Self.tunnelLimit)
        return report(list, url: url, status(), inFlight: inFlight, errors)
    }

    /// A report of what is known without asking anybody.
    func reportWithoutModels(_ status: GPUStatus, inFlight: Int) -> HealthReport {
        report([], url: tunnel.lastKnown, status, inFlight: inFlight, ["engine: has not answered yet"])
    }

    private func report(
        _ models: [Model], url: String, _ status: GPUStatus, inFlight: Int, _ errors: [String]
    ) -> HealthReport {
        var errors = errors
        if case .unknown(let reason, _) = status { errors.append("gpu: \(reason)") }
        return HealthReport(
            data: models, gpu: report(status, inFlight: inFlight), ngrok: HealthReport.NgrokReport(url: url),
            providerType: providerType, errors: errors.isEmpty ? nil : errors)
    }

    private func report(_ status: GPUStatus, inFlight: Int) -> GPUReport? {
        let sample: GPUSample?
        switch status {
        case .absent: sample = nil
        case .known(let newest): sample = newest
        case .unknown(_, let last): sample = last
        }
        guard let sample else { return nil }
        let isBusy =
            switch BusyRule.verdict(status, gpu) {
            case .idle: false
            case .busy, .unknown: true
            case .unreadable: inFlight > 0
            }
        return GPUReport(sample, isBusy: isBusy, configuration: gpu)
    }
}
