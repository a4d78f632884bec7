/// Looks at everything between the GPU and the public URL, and says what is wrong and how to mend it.
///
/// All looks run at once, each on a thread of its own. A look that hangs is left behind.
public struct Doctor: Sendable {
    /// The site that is asked unless another is named.
    public static let defaultSite = "http://127.0.0.1:8080"
    static let statusURL = "http://127.0.0.1:9180/status.json"
    private static let configurationLimit = Duration.seconds(3)
    /// For all looks together; the longest one of its own has 24 s.
    private static let limit = Duration.seconds(25)

    private let source: ConfigurationSource
    private let site: String
    private let probes: Bool
    private let statusURL: String

    /// - Parameters:
    ///   - source: where the programs' configuration comes from.
    ///   - site: base URL of nginx's site.
    ///   - probes: whether the engine is asked for one token, and nginx is sent a large body.
    /// - Throws: for a site that is no base URL.
    public init(_ source: ConfigurationSource, site: String, probes: Bool) throws(ConfigurationError) {
        try self.init(source, site: site, probes: probes, statusURL: Self.statusURL)
    }

    /// The same with another place of the status page, for tests.
    init(
        _ source: ConfigurationSource, site: String, probes: Bool, statusURL: String
    ) throws(ConfigurationError) {
        guard let url = BaseURL.normalized(site) else {
            throw ConfigurationError("--site", nil, "expected \(BaseURL.expectation), found \(Found.value(site))")
        }
        self.source = source
        self.site = url
        self.probes = probes
        self.statusURL = statusURL
    }

    /// Ends what a look or a bundle has started, and removes what is unfinished. For a process that ends now.
    public static func abandon() {
        // First: the children's end wakes the thread that writes the bundle.
        DoctorBundle.stop()
        ChildProcess.stopAll(waitingForStart: .seconds(1))
        DoctorBundle.removeUnfinished()
    }

    /// The result, and the configuration that it is about; nil for a configuration that cannot be used.
    public typealias Result = (report: DoctorReport, loaded: LoadedConfiguration?)

    /// Looks at everything; returns within 30 s.
    ///
    /// - Parameter progress: called before each wait with what is waited for.
    public func examine(_ progress: (String) -> Void) -> Result {
        progress("configuration")
        let loading = Pending { [source] in
            Swift.Result { () throws(ConfigurationError) in try source.load() }
        }
        switch loading.value(until: .now + Self.configurationLimit) {
        case nil:
            return (
                ConfigurationCheck.failed("the configuration cannot be read within 3 s", path: source.path), nil
            )
        case .failure(let error):
            return (
                ConfigurationCheck.failed(error.description, path: source.path, needsRights: error.needsRights), nil
            )
        case .success(let loaded): return (DoctorReport(examine(loaded, progress)), loaded)
        }
    }

    private func examine(_ loaded: LoadedConfiguration, _ progress: (String) -> Void) -> [Finding] {
        let configuration = loaded.configuration
        let (site, probes, statusURL) = (site, probes, statusURL)
        let local = HTTPClient(proxied: false)
        let log = QuietLog()
        let deadline = ContinuousClock.now + Self.limit

        let files = Pending { ConfigurationCheck.look(loaded) }
        let gpu = Pending { GPUCheck.look(configuration.gpu, log) }
        let engine = Pending { EngineCheck.look(configuration.ollama, local, probes: probes) }
        let worker = Pending { WorkerCheck.look(configuration.server) }
        let nginx = Pending { SiteCheck.look(site, configuration, local, statusURL: statusURL, probes: probes) }
        let central = Pending { CentralCheck.look(loaded) }
        let tunnel = Pending { TunnelCheck.look(configuration, local, log) }
        let report = Pending { ReportCheck.look(configuration) }

        func wait<Value>(_ name: String, _ pending: Pending<Value>) -> Value? {
            progress(name)
            return pending.value(until: deadline)
        }
        let seen = Looks(
            files: wait("configuration", files), worker: wait("worker", worker), nginx: wait("nginx", nginx),
            central: wait("central system", central), engine: wait("engine", engine), gpu: wait("GPU", gpu),
            tunnel: wait("tunnel", tunnel), report: wait("reports", report))
        return seen.findings(configuration, limit: Self.limit)
    }
}

/// What was seen; nil where a look did not end in time.
struct Looks {
    var files: ConfigurationCheck?
    var worker: WorkerCheck?
    var nginx: SiteCheck?
    var central: CentralCheck?
    var engine: EngineCheck?
    var gpu: GPUCheck?
    var tunnel: TunnelCheck?
    var report: ReportCheck?

    func findings(_ configuration: Configuration, limit: Duration) -> [Finding] {
        let worker = worker?.findings(nginx) ?? .overdue(.workerSocket, .workerRunning, limit: limit)
        let site = nginx.map { [$0.finding(configuration, worker: worker)] } ?? .overdue(.nginxSite, limit: limit)
        let failed = (worker + site).first(where: \.isFailure)?.code
        let gpu =
            gpu?.findings(nginx?.reply.view) ?? .overdue(.gpuDriver, .gpuSample, .gpuDevices, limit: limit)
        let engine =
            engine?.findings ?? .overdue(.engineReachable, .engineModels, .engineCompletion, limit: limit)
        let central =
            central?.findings
            ?? .overdue(.centralReachable, .centralTLS, .centralKey, .centralClock, limit: limit)
        let tunnel =
            tunnel?.findings(nginx?.reply, failed: failed) ?? .overdue(.tunnelAgent, .tunnelPublic, limit: limit)
        return (files?.findings ?? .overdue(.config, limit: limit)) + gpu + engine + worker + site + central + tunnel
            + (report?.findings ?? .overdue(.reportTimer, .reportLast, limit: limit))
    }
}
