import CFastCGI
import Logging
import ProviderHandlers

/// Takes the worker from its start to its end.
struct Worker {
    /// How long the GPU's first sample may take before requests are accepted all the same: as long as a run of nvidia-smi,
    /// between these two.
    private static let firstSampleLimits = (least: Duration.seconds(5), most: Duration.seconds(30))
    /// How often threads are told to stop until they have; see `WorkerThreads.haveEnded`.
    private static let drainInterval = Duration.milliseconds(20)
    /// What threads get to send their last words once they are cut.
    private static let cutLimit = Duration.seconds(2)
    /// Between two lines for `systemctl status`.
    private static let stateInterval = Duration.seconds(5)
    /// What the start of an nvidia-smi may take at the end, to be ended with the worker.
    private static let startLimit = Duration.seconds(1)

    private let source: WorkerConfigurationSource
    private let assembly: Assembly
    private let listener: Listener
    private let threads: WorkerThreads
    private var configuration: Configuration
    private var toldState = (text: "", time: ContinuousClock.now - Self.stateInterval)
    private var watchdog = Watchdog(Program.environment)

    private var logger: Logger { assembly.logger }

    /// - Parameter source: where the configuration is read again from.
    /// - Throws: `ListenError` when the socket cannot be had.
    init(_ loaded: LoadedConfiguration, from source: WorkerConfigurationSource) throws(ListenError) {
        configuration = loaded.configuration
        self.source = source
        assembly = Assembly(configuration)
        for warning in loaded.warnings { assembly.logger.warning("\(warning)") }
        if configuration.provider.hmac == .optional { assembly.logger.notice("\(NginxSites.openDoor)") }
        listener = try Listener(configuration.server)
        // One of our own the configuration has warned of.
        if listener.isInherited, let address = listener.remoteAddress {
            assembly.logger.warning(
                "\(listener.name) listens on \(address) (server.allow_remote is true): make sure that only nginx reaches it"
            )
        }
        if let name = listener.nameOpenToAll {
            assembly.logger.warning(
                """
                \(listener.name) is \(name), to which every user of this machine can connect, and anyone who can connect controls \
                the worker: give it mode 0660 and nginx's group
                """)
        }
        threads = WorkerThreads(
            listener, assembly.pipeline(configuration), configuration: configuration, logger: assembly.logger)
    }

    /// Serves until a signal ends it.
    ///
    /// - Returns: the exit status.
    mutating func run() throws(ListenError) -> CInt {
        guard FCGX_Init() == 0 else { throw ListenError(description: "libfcgi cannot be initialized") }
        assembly.sampler.start()
        // A request that came before the first sample would be refused as unknown: a restart must refuse nobody.
        let limit = configuration.gpu.nvidiaSMITimeout
        let limits = Self.firstSampleLimits
        // More than the unit's TimeoutStartSec (sd_notify(3)).
        if limit > limits.least { ServiceManager.notify("EXTEND_TIMEOUT_USEC=60000000") }
        assembly.sampler.waitForFirstSample(timeout: max(limits.least, min(limit, limits.most)))
        try threads.start()
        logger.info("ready: listening on \(listener.name), engine \(configuration.ollama.url)")
        ServiceManager.notify("READY=1")
        assembly.watch.start()
        ProcessResources.releaseStartupPages()
        while true {
            tellState { [watch = assembly.watch] in watch.summary }
            switch Signals.wait(for: [.stop, .reload], limit: watchdog.look(threads, assembly.sampler, logger)) {
            case .stop: return stop()
            case .reload: reload()
            case nil: continue
            }
        }
    }

    /// Takes up the configuration as it is now; one that cannot be used changes nothing.
    private mutating func reload() {
        ServiceManager.notify("RELOADING=1\nMONOTONIC_USEC=\(ServiceManager.monotonicMicroseconds)")
        defer { ServiceManager.notify("READY=1") }
        let loaded: LoadedConfiguration
        do throws(ConfigurationError) {
            loaded = try source.load()
        } catch {
            logger.error("not reloaded, the configuration stays as it was: \(error)")
            return
        }
        let change = ConfigurationChange(from: configuration, to: loaded.configuration)
        configuration = change.configuration
        assembly.change(to: configuration)
        threads.change(to: assembly.pipeline(configuration), configuration: configuration)
        for warning in loaded.warnings { logger.warning("\(warning)") }
        if !change.kept.isEmpty {
            logger.warning("takes a restart, the old value is kept: \(change.kept.joined(separator: ", "))")
        }
        let changed = change.changed.isEmpty ? "nothing has changed" : change.changed.joined(separator: ", ")
        logger.info("reloaded from \(loaded.source): \(changed)")
    }

    /// Tells systemd a line for `systemctl status`, when the last line is old enough and the line has changed.
    private mutating func tellState(_ line: () -> String) {
        guard ContinuousClock.now - toldState.time >= Self.stateInterval else { return }
        let text = line()
        guard text != toldState.text else { return }
        toldState = (text, .now)
        ServiceManager.notify("STATUS=\(text)")
    }

    private mutating func stop() -> CInt {
        logger.info("stopping: \(assembly.admission.inFlight) requests in flight")
        ServiceManager.notify("STOPPING=1")
        threads.stop()
        let isDrained = waitForThreads(until: .now + configuration.server.drainTimeout, stopsOnSignal: true)
        if !isDrained {
            logger.warning("cutting \(assembly.admission.inFlight) requests in flight")
            assembly.admission.cutAll()
            _ = waitForThreads(until: .now + Self.cutLimit, stopsOnSignal: false)
        }
        assembly.watch.stop()
        assembly.handoff?.finish()
        assembly.sampler.stop(waitingForStart: Self.startLimit)
        logger.info("stopped")
        return isDrained ? 0 : 1
    }

    private mutating func waitForThreads(until deadline: ContinuousClock.Instant, stopsOnSignal: Bool) -> Bool {
        var nextLook = ContinuousClock.now
        while !threads.haveEnded() {
            tellState { [admission = assembly.admission] in "draining, \(admission.inFlight) in flight" }
            // A drain may take longer than the watchdog waits.
            if ContinuousClock.now >= nextLook {
                nextLook = .now + watchdog.look(threads, assembly.sampler, logger)
            }
            // A SIGHUP has no meaning any more.
            let isSignalled = Signals.wait(for: [.stop], limit: Self.drainInterval) != nil
            if isSignalled && stopsOnSignal || ContinuousClock.now > deadline { return false }
        }
        return true
    }
}

/// Where the worker's configuration comes from: what every program reads, compared with what nginx's file says.
struct WorkerConfigurationSource {
    private let source: ConfigurationSource
    private let nginxUpstream: String?

    /// - Parameter nginxUpstream: as `NginxUpstream.check` takes it.
    init(_ source: ConfigurationSource, nginxUpstream: String?) {
        self.source = source
        self.nginxUpstream = nginxUpstream
    }

    /// Reads both as they are now.
    ///
    /// - Throws: also when nginx would forward to another engine.
    func load() throws(ConfigurationError) -> LoadedConfiguration {
        var loaded = try source.load()
        switch NginxUpstream.check(loaded.configuration, path: nginxUpstream) {
        case .agrees: break
        case .unknown(let problem): loaded.warnings.append(problem)
        case .disagrees(let problem): throw ConfigurationError(description: problem)
        }
        if let warning = NginxSites.warning(loaded.configuration) { loaded.warnings.append(warning) }
        if let missingKey = loaded.missingKey { loaded.warnings.append("provider.api_key: \(missingKey)") }
        return loaded
    }
}
