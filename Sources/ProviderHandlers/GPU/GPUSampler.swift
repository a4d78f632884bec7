import Dispatch
public import Logging
import Synchronization

/// Samples the GPUs in the background, so that a request only ever reads memory.
///
/// One run of nvidia-smi at a time, on Swift's pool, which it never blocks. It has to be stopped: until then the
/// sampling keeps the sampler alive, though never the process.
public final class GPUSampler: Sendable {
    /// What a run may take over its limit before it counts as hanging: starting and reaping a child takes time too.
    private static let grace = Duration.milliseconds(500)
    /// However long a run takes, the next begins after this much, unless the interval is longer.
    private static let maxCourtesy = Duration.seconds(5)

    private struct Settings {
        var reader: NvidiaSMI
        var configuration: Configuration.GPU
        /// Grows with each change.
        var revision = 0
        /// The pause between two runs, while there is one.
        var pause: Task<Void, Never>?
    }

    private let settings: Mutex<Settings>
    private let logger: Logger
    private let hangLimit: Duration
    private let state: Mutex<SamplerState>
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let firstOutcome = DispatchSemaphore(value: 0)

    public convenience init(reader: NvidiaSMI, configuration: Configuration.GPU, logger: Logger) {
        self.init(reader: reader, configuration: configuration, logger: logger, hangLimit: reader.limit + Self.grace)
    }

    /// - Parameter hangLimit: how long a run may take before it counts as hanging.
    init(reader: NvidiaSMI, configuration: Configuration.GPU, logger: Logger, hangLimit: Duration) {
        settings = Mutex(Settings(reader: reader, configuration: configuration))
        self.logger = logger
        self.hangLimit = hangLimit
        state = Mutex(SamplerState(configuration, isPath: reader.isPath))
    }

    /// Begins to sample; once per sampler.
    public func start() {
        task.withLock { task in
            guard task == nil else { return }
            task = Task { await sampleUntilCancelled() }
        }
    }

    /// Ends the sampling, and a run that is under way, without waiting for it.
    public func stop() {
        task.withLock { $0?.cancel() }
        // The task would see to it, but the process may exit before it gets to.
        settings.withLock { $0.reader }.stop()
    }

    /// Takes up another configuration, with a run at once unless one is under way.
    ///
    /// The sampler stays the same one, so that what is known stays known and no second child is ever started beside
    /// one that cannot be killed.
    public func change(to configuration: Configuration.GPU) {
        let (isPath, pause) = settings.withLock { settings in
            settings.configuration = configuration
            settings.reader = settings.reader.reading(configuration.nvidiaSMI)
            settings.revision += 1
            return (settings.reader.isPath, settings.pause)
        }
        note { $0.change(to: configuration, isPath: isPath) }
        pause?.cancel()
    }

    /// Blocks the calling thread until something has come of the first run, or `timeout` is over.
    public func waitForFirstSample(timeout: Duration) {
        guard firstOutcome.wait(timeout: .now() + .milliseconds(timeout.milliseconds)) == .success else { return }
        // For the next one who waits.
        firstOutcome.signal()
    }

    /// What is known now.
    ///
    /// Computed when it is read: a newest sample that has grown too old is unknown, also when nothing runs any more.
    public var status: GPUStatus {
        state.withLock { $0.status(at: .now) }
    }

    /// Whether the GPUs' load keeps requests out now.
    public var verdict: BusyVerdict {
        BusyRule.verdict(status, settings.withLock { $0.configuration })
    }

    /// How far the sampling has come, for whoever watches that it goes on.
    public var progress: Liveness.Sampling {
        let maxPause = max(settings.withLock { $0.configuration.sampleInterval }, Self.maxCourtesy)
        return state.withLock { state in
            Liveness.Sampling(
                steps: state.steps, due: state.nextStep(hangLimit: hangLimit, maxPause: maxPause))
        }
    }

    /// The time between two runs: the interval, but nine times the last run if longer, so that nvidia-smi, which is slow
    /// on machines with many GPUs, takes no more than a tenth of the time; and that at most 5 s.
    static func pause(afterRunOf time: Duration, interval: Duration) -> Duration {
        max(interval, min(time * 9, maxCourtesy))
    }

    private func sampleUntilCancelled() async {
        while !Task.isCancelled {
            let (reader, configuration, revision) = settings.withLock { ($0.reader, $0.configuration, $0.revision) }
            let started = ContinuousClock.now
            let run = state.withLock { $0.begin(at: started) }
            let watchdog = Task { await watch(run) }
            let result: Result<GPUSample, NvidiaSMIError>
            do throws(NvidiaSMIError) {
                result = .success(try await reader.read())
            } catch {
                result = .failure(error)
            }
            watchdog.cancel()
            // What comes of a run that stop() has ended says nothing about the GPUs.
            guard !Task.isCancelled else { return }
            note { $0.end(result, at: .now) }
            let pause = Self.pause(afterRunOf: ContinuousClock.now - started, interval: configuration.sampleInterval)
            await wait(for: pause, unlessChangedSince: revision)
        }
    }

    /// A pause that a change of the configuration or the end of the sampling ends early.
    private func wait(for time: Duration, unlessChangedSince revision: Int) async {
        let pause = Task { _ = try? await Task.sleep(for: time) }
        let isChanged = settings.withLock { settings in
            settings.pause = pause
            return settings.revision != revision
        }
        if isChanged { pause.cancel() }
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
    }

    /// Speaks up when a run is not over in time, which only one whose child cannot be killed is not.
    private func watch(_ run: Int) async {
        guard (try? await Task.sleep(for: hangLimit)) != nil else { return }
        note { $0.hang(run: run, at: .now) }
    }

    private func note(_ change: (inout SamplerState) -> SamplerState.Announcement?) {
        let (announcement, isFirst) = state.withLock { state in
            let isFirst = state.isFirst
            return (change(&state), isFirst && !state.isFirst)
        }
        if let announcement {
            logger.log(level: announcement.isProblem ? .warning : .info, "\(announcement.text)")
        }
        // After the line: whoever waits says next that all is ready.
        if isFirst { firstOutcome.signal() }
    }
}
