/// What the sampler knows; a value, so that every transition can be tested without a clock.
struct SamplerState {
    /// A line for the log.
    struct Announcement: Equatable {
        var isProblem: Bool
        var text: String
    }

    private enum Outcome {
        case none
        case absent
        case sample(at: ContinuousClock.Instant)
        case failure(String)
    }

    private var configuration: Configuration.GPU
    private var isPath: Bool
    private var outcome = Outcome.none
    /// What the last run told, if it told anything, of all GPUs.
    private var newest: (sample: GPUSample, time: ContinuousClock.Instant)?
    /// The last sample there was, narrowed to the selected GPUs.
    private var lastSample: GPUSample?
    /// Once nvidia-smi has been there, its absence is a failure.
    private var hasBeenThere = false
    private var announced: Announcement?
    private var runStarted: ContinuousClock.Instant?
    private var runs = 0
    private var isHanging = false
    /// Whether the run under way is of a program that is not the configured one any more.
    private var isOutdated = false
    /// Runs begun, ended and found to hang.
    private(set) var steps: UInt64 = 0

    /// - Parameter isPath: whether the configuration names the place of nvidia-smi.
    init(_ configuration: Configuration.GPU, isPath: Bool) {
        self.configuration = configuration
        self.isPath = isPath
    }

    /// Whether nothing has come of any run yet.
    var isFirst: Bool {
        if case .none = outcome { true } else { false }
    }

    /// Notes that a run begins.
    ///
    /// - Returns: its number, for `end` and `hang`.
    mutating func begin(at now: ContinuousClock.Instant) -> Int {
        runStarted = now
        isHanging = false
        isOutdated = false
        runs += 1
        steps += 1
        return runs
    }

    /// Notes what came of a run.
    ///
    /// - Returns: what to log; nil when nothing has changed but the numbers.
    mutating func end(
        _ result: Result<GPUSample, NvidiaSMIError>, at now: ContinuousClock.Instant
    ) -> Announcement? {
        runStarted = nil
        isHanging = false
        steps += 1
        return isOutdated ? nil : take(result, at: now)
    }

    /// Notes that a run hangs; nothing when it is over by now.
    mutating func hang(run: Int, at now: ContinuousClock.Instant) -> Announcement? {
        guard run == runs && runStarted != nil else { return nil }
        isHanging = true
        steps += 1
        return take(.failure(.unkillable), at: now)
    }

    /// Takes up another configuration. What is known stays known until the next run ends, narrowed to the GPUs that
    /// are selected now.
    ///
    /// - Returns: what to log.
    mutating func change(to configuration: Configuration.GPU, isPath: Bool) -> Announcement? {
        let isOtherProgram = configuration.nvidiaSMI != self.configuration.nvidiaSMI
        let isOtherSelection = configuration.devices != self.configuration.devices
        self.configuration = configuration
        self.isPath = isPath
        if isOtherProgram {
            hasBeenThere = false
            isOutdated = true
        }
        guard isOtherSelection, let newest else { return nil }
        return select(from: newest.sample, taken: newest.time)
    }

    /// How long until the next step at the latest: the end of the run, or the beginning of the next; nil when it may
    /// take for ever, as the end of a run that hangs.
    func nextStep(hangLimit: Duration, maxPause: Duration) -> Duration? {
        if isHanging { return nil }
        return runStarted == nil ? maxPause : hangLimit
    }

    /// The state at `now`: a sample grows old without anybody doing anything.
    func status(at now: ContinuousClock.Instant) -> GPUStatus {
        switch outcome {
        case .none: return .unknown(reason: "nvidia-smi has not answered yet", last: nil)
        case .absent: return .absent
        case .failure(let reason): return .unknown(reason: reason, last: lastSample)
        case .sample(let time):
            if let lastSample, now - time <= configuration.maxSampleAge { return .known(lastSample) }
            var reason = "the newest GPU sample is \(Int((now - time).inSeconds)) s old"
            if let runStarted { reason += ", nvidia-smi has been running for \(Int((now - runStarted).inSeconds)) s" }
            return .unknown(reason: reason, last: lastSample)
        }
    }

    private mutating func take(
        _ result: Result<GPUSample, NvidiaSMIError>, at now: ContinuousClock.Instant
    ) -> Announcement? {
        switch result {
        case .failure(.missing(let program, let reason)) where !isPath && !hasBeenThere:
            outcome = .absent
            return announce(false, "no GPU: \(program): \(reason)")
        case .failure(let error):
            if case .missing = error {} else { hasBeenThere = true }
            newest = nil
            return fail("\(error)")
        case .success(let sample):
            hasBeenThere = true
            newest = (sample, now)
            return select(from: sample, taken: now)
        }
    }

    private mutating func select(from sample: GPUSample, taken time: ContinuousClock.Instant) -> Announcement? {
        let (selected, absent) = sample.selecting(configuration.devices)
        lastSample = selected
        guard absent.isEmpty else {
            let names = absent.map { "\"\($0)\"" }.joined(separator: ", ")
            return fail("gpu.devices: \(names) is not among the \(sample.gpus.count) GPUs that nvidia-smi lists")
        }
        outcome = .sample(at: time)
        return announce(false, selected.summary(of: sample))
    }

    private mutating func fail(_ reason: String) -> Announcement? {
        outcome = .failure(reason)
        return announce(true, "GPU state unknown: \(reason)")
    }

    private mutating func announce(_ isProblem: Bool, _ text: String) -> Announcement? {
        let announcement = Announcement(isProblem: isProblem, text: text)
        guard announcement != announced else { return nil }
        announced = announcement
        return announcement
    }
}
