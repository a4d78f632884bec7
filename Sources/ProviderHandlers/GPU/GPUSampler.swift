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

    private let reader: NvidiaSMI
    private let configuration: Configuration.GPU
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
        self.reader = reader
        self.configuration = configuration
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
        reader.stop()
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

    /// The time between two runs: the interval, but nine times the last run if longer, so that nvidia-smi, which is slow
    /// on machines with many GPUs, takes no more than a tenth of the time; and that at most 5 s.
    static func pause(afterRunOf time: Duration, interval: Duration) -> Duration {
        max(interval, min(time * 9, maxCourtesy))
    }

    private func sampleUntilCancelled() async {
        while !Task.isCancelled {
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
            // Throws when cancelled, as the loop is then.
            try? await Task.sleep(for: pause)
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
