/// Gathers the parts of a report: models from the engine and the public URLs; the GPU state is given to it.
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

    /// The parts of a report that take requests to other programs.
    struct Parts: Sendable {
        var models: Result<[Model], NoModelList>
        var urls: PublicURLs
    }

    /// The GPU state at one moment, and whether it counts as busy.
    struct GPUMoment: Sendable {
        var status: GPUStatus
        var isBusy: Bool
    }

    func models(within limit: Duration) throws(NoModelList) -> [Model] {
        try models.list(within: limit)
    }

    /// - Parameter limit: for each program that is asked.
    func urls(within limit: Duration) -> PublicURLs {
        tunnel.urls(within: limit)
    }

    /// The parts that are known without a request.
    var partsKnown: Parts { Parts(models: .failure(.notYet), urls: tunnel.lastKnown) }

    /// Whether the busy rule alone calls the GPUs busy, for a process in which no completion runs.
    func isBusy(_ status: GPUStatus) -> Bool {
        BusyRule.verdict(status, gpu).isBusy(inFlight: 0)
    }

    /// Builds the report; its errors name the missing parts.
    func report(_ parts: Parts, _ moment: GPUMoment) -> HealthReport {
        var errors: [String] = []
        var list: [Model] = []
        switch parts.models {
        case .success(let models): list = models
        case .failure(let cause): errors.append("engine: \(cause)")
        }
        if case .unknown(let reason, _) = moment.status { errors.append("gpu: \(reason)") }
        return HealthReport(
            data: list, gpu: moment.status.sample.map { GPUReport($0, isBusy: moment.isBusy, configuration: gpu) },
            ngrok: HealthReport.TunnelReport(url: parts.urls.ngrok),
            cloudflare: parts.urls.cloudflare.map(HealthReport.TunnelReport.init),
            providerType: providerType, errors: errors.isEmpty ? nil : errors)
    }
}
