/// What has come of the runs of nvidia-smi, or of the amdgpu driver in its place; a value.
struct NvidiaSMIState {
    private enum Outcome {
        case none
        case absent(String)
        /// At the end of its run.
        case sample(GPUJudge.Judged, at: ContinuousClock.Instant)
        case failure(String)
    }

    private let isPath: Bool
    private let maxAge: Duration
    private var outcome = Outcome.none
    /// Once nvidia-smi has been there, its absence is a failure.
    private var hasBeenThere = false
    /// Once there were GPUs of AMD's in its place, so is theirs.
    private var hadAMD = false
    private var runStarted: ContinuousClock.Instant?
    private var runs = 0
    private var isHanging = false
    /// Runs begun, ended and found to hang.
    private(set) var steps: UInt64 = 0
    /// When the run began that the outcome is of.
    private(set) var asOf: ContinuousClock.Instant?
    /// The last that was read, whether it could be relied on or not.
    private(set) var last: (judged: GPUJudge.Judged, time: ContinuousClock.Instant)?

    /// - Parameter isPath: whether the configuration names the place of nvidia-smi.
    init(isPath: Bool, maxAge: Duration) {
        self.isPath = isPath
        self.maxAge = maxAge
    }

    /// Why there is none; nil when there is one, or it is not known yet.
    var absence: String? {
        if case .absent(let reason) = outcome { reason } else { nil }
    }

    /// Whether nothing has come of any run yet.
    var isOpen: Bool {
        if case .none = outcome { true } else { false }
    }

    /// Whether the last run that ended gave a sample to rely on.
    var isKnown: Bool {
        if case .sample = outcome { true } else { false }
    }

    /// Notes that a run begins.
    ///
    /// - Returns: the run's number, for `hang`.
    mutating func begin(at now: ContinuousClock.Instant) -> Int {
        runStarted = now
        runs += 1
        steps += 1
        return runs
    }

    /// How long until the next step at the latest; nil while a run hangs, which may be for good.
    func nextStep(hangLimit: Duration, maxPause: Duration) -> Duration? {
        if isHanging { return nil }
        return runStarted == nil ? maxPause : hangLimit
    }

    mutating func end(
        _ result: Result<GPUSample, NvidiaSMIError>, _ judge: inout GPUJudge, at now: ContinuousClock.Instant
    ) {
        asOf = runStarted ?? now
        runStarted = nil
        isHanging = false
        steps += 1
        switch result {
        case .failure(.missing) where hadAMD: outcome = .failure("no GPU with the amdgpu driver is left")
        case .failure(.missing(let program, let reason)) where !isPath && !hasBeenThere:
            outcome = .absent("\(program): \(reason)")
        case .failure(let error):
            if case .missing = error {} else { hasBeenThere = true }
            outcome = .failure("\(error)")
        case .success(let sample):
            hadAMD = sample.origin == .amdgpu
            if !hadAMD { hasBeenThere = true }
            let judged = judge.judge(sample)
            last = (judged, now)
            outcome = judged.problem.map { .failure($0) } ?? .sample(judged, at: now)
        }
    }

    /// Notes that a run hangs.
    ///
    /// - Returns: false when it is over by now.
    mutating func hang(run: Int, at now: ContinuousClock.Instant) -> Bool {
        guard run == runs && runStarted != nil else { return false }
        isHanging = true
        steps += 1
        asOf = now
        if hadAMD {
            outcome = .failure("the amdgpu driver does not answer")
        } else {
            hasBeenThere = true
            outcome = .failure("\(NvidiaSMIError.unkillable)")
        }
        return true
    }

    /// NVML has shown GPUs of NVIDIA's: those of AMD's no longer count.
    mutating func forgetAMD() {
        guard hadAMD else { return }
        hadAMD = false
        last = nil
        outcome = .absent("nvidia-smi: not found")
    }

    /// A sample grows old without anybody doing anything.
    func status(at now: ContinuousClock.Instant) -> GPUStatus {
        switch outcome {
        case .none: return .unknown(reason: "nvidia-smi has not answered yet", last: nil)
        case .absent: return .absent
        case .failure(let reason): return .unknown(reason: reason, last: last?.judged.selected)
        case .sample(let judged, let time):
            if now - time <= maxAge { return .known(judged.selected) }
            var reason = "the newest GPU sample is \(Int((now - time).inSeconds)) s old"
            if let runStarted { reason += ", nvidia-smi has been running for \(Int((now - runStarted).inSeconds)) s" }
            return .unknown(reason: reason, last: judged.selected)
        }
    }
}
