import Dispatch
import Glibc
public import Logging

/// Samples the GPUs in the background, so that a request only ever reads memory.
///
/// NVML is read by a child process that sends messages; nvidia-smi is run again and again, and only for the details while NVML
/// works. Each has a thread. `stop` must be called: until then the threads keep the sampler alive, though never the process.
public final class GPUSampler: Sendable {
    /// What a run may take over its limit before it counts as hanging: starting and reaping a child takes time too.
    private static let grace = Duration.milliseconds(500)
    /// How often a thread that waits for the first sample looks whether the run hangs.
    private static let hangInterval = Duration.milliseconds(100)
    /// Between two runs of nvidia-smi for the details alone, unless somebody wants to see them.
    private static let detailInterval = Duration.seconds(30)

    private let reader: NvidiaSMI
    private let nvml: NVMLFeed?
    private let amd: AMDGPU?
    private let driver: NVIDIADriver
    private let configuration: Configuration.GPU
    /// What of the configuration may change: the busy rule reads it.
    private let rule: Locked<Configuration.GPU>
    private let logger: Logger
    private let hangLimit: Duration
    private let state: Locked<SamplerState>
    private let hasStarted = Locked(false)
    private let firstOutcome = DispatchSemaphore(value: 0)
    private let pause = Pause()

    /// - Parameter nvml: nil to run nvidia-smi alone, for a process that wants to know once.
    public convenience init(_ configuration: Configuration.GPU, nvml: NVMLFeed?, logger: Logger) {
        self.init(
            reader: NvidiaSMI(configuration), nvml: nvml, amd: AMDGPU(), driver: NVIDIADriver(),
            configuration: configuration, logger: logger)
    }

    /// - Parameter hangLimit: how long a run may take before it counts as hanging; nil for a little more than it may last.
    init(
        reader: NvidiaSMI, nvml: NVMLFeed? = nil, amd: AMDGPU? = nil, driver: NVIDIADriver,
        configuration: Configuration.GPU, logger: Logger, hangLimit: Duration? = nil
    ) {
        self.reader = reader
        self.nvml = [.auto, .nvml].contains(configuration.source) ? nvml : nil
        self.amd = [.auto, .amdgpu].contains(configuration.source) ? amd : nil
        self.driver = driver
        self.configuration = configuration
        rule = Locked(configuration)
        self.logger = logger
        self.hangLimit = hangLimit ?? reader.limit + Self.grace
        var configuration = configuration
        if nvml == nil && configuration.source != .amdgpu { configuration.source = .nvidiaSMI }
        state = Locked(SamplerState(configuration))
    }

    /// Begins to sample; once per sampler.
    public func start() {
        let isFirst = hasStarted.withLock { hasStarted in
            defer { hasStarted = true }
            return !hasStarted
        }
        guard isFirst else { return }
        do throws(Threads.Shortage) {
            try Threads.start { [self] in sampleUntilStopped() }
            try nvml?.start { [self] message in take(message) }
        } catch {
            logger.critical(
                "the GPU state stays unknown: cannot start a thread: \(systemError(error.code)); restart")
        }
    }

    /// Ends the sampling, and a run that is under way, without waiting for it.
    ///
    /// - Parameter limit: how long to block until an nvidia-smi that is just starting can be killed. A process that exits
    ///   next would leave the child behind. NVML's process ends by itself.
    public func stop(waitingForStart limit: Duration = .zero) {
        pause.end()
        nvml?.stop()
        reader.stop(waitingForStart: limit)
    }

    /// Blocks the calling thread until the first run has a result, or hangs, or `timeout` is over.
    public func waitForFirstSample(timeout: Duration) {
        let deadline = ContinuousClock.now + timeout
        while true {
            let rest = min(deadline - .now, Self.hangInterval)
            guard rest > .zero else { return }
            if firstOutcome.wait(timeout: .now() + .milliseconds(Int(rest.pollMilliseconds))) == .success { break }
            _ = status
        }
        // For the next caller that waits.
        firstOutcome.signal()
    }

    /// Blocks the calling thread until each source has had a first word, or `timeout` is over.
    func waitForEachSource(timeout: Duration) {
        let deadline = ContinuousClock.now + timeout
        while !read({ state, _ in state.hasHeardEachSource }), ContinuousClock.now < deadline {
            poll(nil, 0, Self.hangInterval.pollMilliseconds)
        }
    }

    /// Why the GPUs are not read through NVML; nil when they are, or when it is not asked.
    var nvmlTrouble: NVMLTrouble? { read { state, _ in state.nvmlTrouble } }

    /// What is known now.
    ///
    /// Computed when it is read: a newest sample that has grown too old is unknown, also when nothing runs any more.
    public var status: GPUStatus {
        read { $0.status(at: $1) }
    }

    /// The verdict now, and the sample that it is on.
    public var reading: (verdict: BusyVerdict, sample: GPULook?) {
        let (status, sample) = read { ($0.status(at: $1), $0.sample(at: $1)) }
        let isKnown = if case .known = status { true } else { false }
        return (BusyRule.verdict(status, rule.withLock { $0 }), isKnown ? sample : nil)
    }

    /// Time since the newest sample; nil without one.
    var sampleAge: Duration? {
        read { state, now in state.newest.map { max(now - $0, .zero) } }
    }

    /// Takes up another threshold and policy. What is read and how stays as it is until a restart.
    public func change(to configuration: Configuration.GPU) {
        rule.withLock { $0 = configuration }
    }

    /// How far the runs of nvidia-smi have come, for the watchdog.
    public var progress: Liveness.Sampling {
        let maxPause = max(configuration.sampleInterval, Self.detailInterval)
        return read { state, _ in
            Liveness.Sampling(steps: state.steps, due: state.nextStep(hangLimit: hangLimit, maxPause: maxPause))
        }
    }

    /// Reads the state at this moment, after noting a run that hangs: no timer notes it, since it matters only to a reader.
    private func read<Value: Sendable>(_ value: (SamplerState, ContinuousClock.Instant) -> Value) -> Value {
        let now = ContinuousClock.now
        let (result, isOverdue) = state.withLock { (value($0, now), $0.isOverdue(at: now, limit: hangLimit)) }
        guard isOverdue else { return result }
        note { [$0.hang(at: now, limit: hangLimit)].compactMap(\.self) }
        return state.withLock { value($0, now) }
    }

    /// Asks for details of this moment, which will be there soon; waits for nothing.
    public func refresh() {
        pause.cut()
    }

    /// The time between two runs: the interval, or nine times the last run if longer, of which at most 5 s count. nvidia-smi
    /// is slow with many GPUs, and thus takes at most a tenth of the time.
    static func pause(afterRunOf time: Duration, interval: Duration) -> Duration {
        max(interval, min(time * 9, Configuration.GPU.longestPause))
    }

    private func sampleUntilStopped() {
        var isGoingOn = true
        while isGoingOn {
            let started = ContinuousClock.now
            state.withLock { $0.begin(at: started) }
            let result: Result<GPUSample, NvidiaSMIError>
            do throws(NvidiaSMIError) {
                result = .success(try readGPUs())
            } catch {
                result = .failure(error)
            }
            // The result of a run that `stop` has ended says nothing about the GPUs.
            guard !pause.isEnded else { return }
            note { [$0.end(result, at: .now)].compactMap(\.self) }
            let shortest = Self.pause(
                afterRunOf: ContinuousClock.now - started, interval: configuration.sampleInterval)
            let isForDetails = state.withLock { $0.needsOnlyDetails(at: .now) }
            isGoingOn = pause.wait(shortest, longest: isForDetails ? max(shortest, Self.detailInterval) : shortest)
        }
    }

    /// The NVIDIA GPUs, or the AMD GPUs where nothing indicates an NVIDIA GPU. Beside an NVIDIA GPU, an AMD GPU is mostly the
    /// part of the processor that draws the screen.
    private func readGPUs() throws(NvidiaSMIError) -> GPUSample {
        let setting = GPUSign(configuration)
        if configuration.source == .amdgpu {
            if let sample = amd?.read() { return sample }
            throw .missing(program: "amdgpu", reason: "no card in \(AMDGPU.directory) has this driver", sign: setting)
        }
        do throws(NvidiaSMIError) {
            return try reader.read()
        } catch {
            guard case .missing(let program, let reason, _) = error else { throw error }
            var sign = setting
            if setting?.isOfNVIDIA != true {
                let found = driver.sign()
                if found == nil, let sample = amd?.read() { return sample }
                sign = found ?? setting
            }
            throw .missing(program: program, reason: reason, sign: sign)
        }
    }

    private func take(_ message: NVMLMessage) {
        note { $0.take(message, at: .now) }
        // nvidia-smi takes over at once.
        if !state.withLock({ $0.needsOnlyDetails(at: .now) }) { pause.cut() }
    }

    private func note(_ change: (inout SamplerState) -> [SamplerState.Announcement]) {
        let (announcements, isFirst) = state.withLock { state in
            let isFirst = state.isFirst
            return (change(&state), isFirst && !state.isFirst)
        }
        for announcement in announcements {
            logger.log(level: announcement.isProblem ? .warning : .info, "\(announcement.text)")
        }
        // After the log lines, because the waiting thread logs next that the worker is ready.
        if isFirst { firstOutcome.signal() }
    }
}
