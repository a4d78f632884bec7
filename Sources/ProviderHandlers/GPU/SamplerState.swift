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

    private let configuration: Configuration.GPU
    private let isPath: Bool
    private var outcome = Outcome.none
    private var lastSample: GPUSample?
    /// Once nvidia-smi has been there, its absence is a failure.
    private var hasBeenThere = false
    private var announced: Announcement?
    private var runStarted: ContinuousClock.Instant?
    private var runs = 0

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
        runs += 1
        return runs
    }

    /// Notes what came of a run.
    ///
    /// - Returns: what to log; nil when nothing has changed but the numbers.
    mutating func end(
        _ result: Result<GPUSample, NvidiaSMIError>, at now: ContinuousClock.Instant
    ) -> Announcement? {
        runStarted = nil
        return take(result, at: now)
    }

    /// Notes that a run hangs; nothing when it is over by now.
    mutating func hang(run: Int, at now: ContinuousClock.Instant) -> Announcement? {
        guard run == runs && runStarted != nil else { return nil }
        return take(.failure(.unkillable), at: now)
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
            return fail("\(error)")
        case .success(let sample):
            hasBeenThere = true
            let (selected, absent) = sample.selecting(configuration.devices)
            lastSample = selected
            guard absent.isEmpty else {
                let names = absent.map { "\"\($0)\"" }.joined(separator: ", ")
                return fail("gpu.devices: \(names) is not among the \(sample.gpus.count) GPUs that nvidia-smi lists")
            }
            outcome = .sample(at: now)
            return announce(false, selected.summary(of: sample))
        }
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
