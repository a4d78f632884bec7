/// What NVML has told; a value.
struct NVMLState {
    private enum Outcome {
        case none
        case missing(String)
        case sample
        /// Something is wrong with a GPU: this counts as long as nothing newer says otherwise.
        case verdict(String, at: ContinuousClock.Instant)
        /// Something is wrong with NVML: what it told before counts until it is too old.
        case failure(String, at: ContinuousClock.Instant)
    }

    /// A sample older than that is no longer the newest there is: as long as `NVMLFeed` waits for a silent child.
    static let freshness = Duration.seconds(2)
    /// nvidia-smi runs every 30 s for the details: what is twice as old has been missed.
    private static let detailsAge = Duration.seconds(60)

    private var outcome = Outcome.none
    private(set) var last: (judged: GPUJudge.Judged, time: ContinuousClock.Instant)?

    /// Why NVML is not to be had; nil when it is, or it is not known yet.
    var absence: String? {
        if case .missing(let reason) = outcome { reason } else { nil }
    }

    /// Whether it has not said a word yet.
    var isOpen: Bool {
        if case .none = outcome { true } else { false }
    }

    /// What is wrong, and since when; nil when nothing is.
    var trouble: (reason: String, isVerdict: Bool, time: ContinuousClock.Instant)? {
        switch outcome {
        case .none, .missing, .sample: nil
        case .verdict(let reason, let time): (reason, true, time)
        case .failure(let reason, let time): (reason, false, time)
        }
    }

    /// - Parameter details: nvidia-smi's last, of which each sample takes over what NVML is not asked.
    mutating func take(
        _ word: NVMLWord, _ judge: inout GPUJudge, details: (judged: GPUJudge.Judged, time: ContinuousClock.Instant)?,
        at now: ContinuousClock.Instant
    ) {
        switch word {
        case .sample(var sample):
            if let details, now - details.time <= Self.detailsAge { sample.take(details: details.judged.all) }
            let judged = judge.judge(sample)
            last = (judged, now)
            outcome = judged.problem.map { .verdict($0, at: now) } ?? .sample
        case .missing(let reason):
            let words = NvidiaSMIWords.excerpt(Array(reason.utf8))
            // Once it has been there, its absence is a failure.
            outcome = last == nil ? .missing(words) : .failure("NVML: \(words)", at: now)
        case .failure(let reason): outcome = .failure(NvidiaSMIWords.excerpt(Array(reason.utf8)), at: now)
        }
    }

    /// The sample to rely on if there is a fresh one.
    func fresh(at now: ContinuousClock.Instant) -> GPUJudge.Judged? {
        guard case .sample = outcome, let last, now - last.time <= Self.freshness else { return nil }
        return last.judged
    }
}

extension GPUSample {
    /// Takes over what only nvidia-smi is asked for, of the GPUs with the same UUID.
    fileprivate mutating func take(details: GPUSample) {
        driverVersion = driverVersion ?? details.driverVersion
        cudaVersion = cudaVersion ?? details.cudaVersion
        for index in gpus.indices {
            guard let uuid = gpus[index].uuid, let other = details.gpus.first(where: { $0.uuid == uuid }) else {
                continue
            }
            gpus[index].productName = gpus[index].productName ?? other.productName
            gpus[index].temperature = other.temperature
            gpus[index].power = other.power
            if gpus[index].migDevices.isEmpty { gpus[index].migDevices = other.migDevices }
        }
    }
}
