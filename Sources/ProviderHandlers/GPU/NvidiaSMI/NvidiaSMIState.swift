/// The outcome of the runs of nvidia-smi, or of the amdgpu driver; a value.
struct NvidiaSMIState {
    private enum Outcome {
        case none
        /// With what speaks for a GPU all the same, if anything does.
        case absent(String, GPUSign?)
        /// At the end of its run.
        case sample(GPUJudge.Judged, at: ContinuousClock.Instant)
        case failure(String)
    }

    /// Whether nvidia-smi never runs (`gpu.source: amdgpu`).
    private let isAMDAlone: Bool
    private let maxAge: Duration
    private var outcome = Outcome.none
    /// Once nvidia-smi has been there, its absence is a failure.
    private var hasBeenThere = false
    /// Once there were GPUs of AMD's in its place, so is theirs.
    private var hadAMD = false
    private var runStarted: ContinuousClock.Instant?
    private var isHanging = false
    /// Runs begun, ended and found to hang.
    private(set) var steps: UInt64 = 0
    /// When the run began that the outcome is of.
    private(set) var asOf: ContinuousClock.Instant?
    /// The last that was read, whether it could be relied on or not.
    private(set) var last: (judged: GPUJudge.Judged, time: ContinuousClock.Instant)?

    init(_ configuration: Configuration.GPU) {
        isAMDAlone = configuration.source == .amdgpu
        maxAge = configuration.maxSampleAge
    }

    /// Why there is none; nil when there is one, or it is not known yet.
    var absence: String? {
        if case .absent(let reason, _) = outcome { reason } else { nil }
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
    mutating func begin(at now: ContinuousClock.Instant) {
        runStarted = now
        steps += 1
    }

    /// Whether a run takes longer than `limit` and has not been found to hang.
    func isOverdue(at now: ContinuousClock.Instant, limit: Duration) -> Bool {
        !isHanging && runStarted.map { now - $0 >= limit } ?? false
    }

    /// The longest time until the next step; nil while a run hangs, perhaps forever.
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
        case .failure(.missing(_, _, let sign)) where hadAMD && sign?.isOfNVIDIA != true:
            outcome = .failure("no GPU with the amdgpu driver is left")
        case .failure(.missing(let program, let reason, let sign)) where !hasBeenThere:
            outcome = .absent("\(program): \(reason)", sign)
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
    /// - Returns: false when it is not overdue.
    mutating func hang(at now: ContinuousClock.Instant, limit: Duration) -> Bool {
        guard isOverdue(at: now, limit: limit) else { return false }
        isHanging = true
        steps += 1
        asOf = now
        if isAMDAlone || hadAMD {
            outcome = .failure("\(name) does not respond")
        } else {
            hasBeenThere = true
            outcome = .failure("\(NvidiaSMIError.unkillable)")
        }
        return true
    }

    /// NVML has shown NVIDIA GPUs: AMD GPUs no longer count.
    mutating func forgetAMD() {
        guard hadAMD else { return }
        hadAMD = false
        last = nil
        outcome = .absent("nvidia-smi: not found", nil)
    }

    /// The source's name in messages.
    private var name: String { isAMDAlone || hadAMD ? "the amdgpu driver" : "nvidia-smi" }

    /// A sample grows old without anybody doing anything.
    ///
    /// - Parameter library: why NVML's library cannot be loaded, for the message about a GPU that is not found.
    func status(at now: ContinuousClock.Instant, without library: String? = nil) -> GPUStatus {
        switch outcome {
        case .none: return .unknown(reason: "\(name) has not responded yet", last: nil)
        case .absent(_, nil): return .absent
        case .absent(let reason, let sign?):
            let places = [reason, library.map { "NVML: \($0)" }].compactMap(\.self).joined(separator: "; ")
            return .unknown(reason: "no GPU is found although \(sign): \(places)", last: nil)
        case .failure(let reason): return .unknown(reason: reason, last: last?.judged.selected)
        case .sample(let judged, let time):
            if now - time <= maxAge { return .known(judged.selected) }
            var reason = "the newest GPU sample is \(Int((now - time).inSeconds)) s old"
            if let runStarted { reason += ", \(name) has been running for \(Int((now - runStarted).inSeconds)) s" }
            return .unknown(reason: reason, last: judged.selected)
        }
    }
}
