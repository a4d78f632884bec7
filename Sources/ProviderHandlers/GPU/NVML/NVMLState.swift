/// What NVML has told; a value.
struct NVMLState {
    private enum Outcome {
        case none
        case missing(String)
        case sample
        /// Something is wrong with NVML: what it told before counts until it is too old.
        case failure(String, at: ContinuousClock.Instant)
    }

    /// What NVML said last against a GPU. It counts, also when NVML fails afterwards, until NVML shows the GPU well or a
    /// later run of nvidia-smi does.
    struct Verdict {
        var reason: String
        var troubled: [GPUJudge.Troubled]
        var time: ContinuousClock.Instant
    }

    /// What nvidia-smi told last, and when.
    typealias Details = (judged: GPUJudge.Judged, time: ContinuousClock.Instant)

    /// An older sample no longer counts as the newest: the time for which `NVMLFeed` waits for a silent child.
    static let freshness = Duration.seconds(2)
    /// The driver renews its counters that often (measured on an H100 and an H200: 198 to 202 ms).
    static let renewal = Duration.milliseconds(200)
    /// nvidia-smi runs every 30 s for the details: what is twice as old has been missed.
    private static let detailsAge = Duration.seconds(60)

    private var outcome = Outcome.none
    /// The last sample as NVML told it, and the time of the details that `last` has beside it.
    private var told: (sample: GPUSample, details: ContinuousClock.Instant?)?
    /// The last sample, and when NVML confirmed it last.
    private(set) var last: (judged: GPUJudge.Judged, time: ContinuousClock.Instant)?
    private(set) var verdict: Verdict?

    /// Why NVML is missing; nil when it is there, or not known yet.
    var absence: String? {
        if case .missing(let reason) = outcome { reason } else { nil }
    }

    /// Whether it has not said a word yet.
    var isOpen: Bool {
        if case .none = outcome { true } else { false }
    }

    /// Whether its last word was a sample, or confirmed one.
    var isSpeaking: Bool {
        if case .sample = outcome { true } else { false }
    }

    /// What is wrong with NVML itself, and since when; nil when nothing is.
    var failure: (reason: String, time: ContinuousClock.Instant)? {
        if case .failure(let reason, let time) = outcome { (reason, time) } else { nil }
    }

    /// - Parameter details: nvidia-smi's last, of which each sample takes over what NVML is not asked.
    mutating func take(
        _ word: NVMLMessage, _ judge: inout GPUJudge, details: Details?, at now: ContinuousClock.Instant
    ) {
        switch word {
        case .sample(let sample):
            told = (sample, nil)
            outcome = .sample
            rejudge(&judge, details: details, confirmed: now, at: now)
        case .alive:
            guard isSpeaking else { return }
            last?.time = now
            verdict?.time = now
            takeOver(details, &judge, at: now)
        case .load: break  // `NVMLChild` has made a sample of it.
        case .missing(let reason):
            let words = ForeignText.excerpt(Array(reason.utf8))
            // Once it has been there, its absence is a failure.
            outcome = last == nil ? .missing(words) : .failure("NVML: \(words)", at: now)
        case .failure(let reason): outcome = .failure(ForeignText.excerpt(Array(reason.utf8)), at: now)
        }
    }

    /// Takes over newer details of nvidia-smi's, and leaves out details that have become too old. A GPU that nvidia-smi finds
    /// in trouble stays in trouble while its details count.
    ///
    /// - Returns: whether the last sample has changed.
    @discardableResult
    mutating func takeOver(_ details: Details?, _ judge: inout GPUJudge, at now: ContinuousClock.Instant) -> Bool {
        guard let told, let last, told.details != Self.counting(details, at: now)?.time else { return false }
        rejudge(&judge, details: details, confirmed: last.time, at: now)
        return true
    }

    private mutating func rejudge(
        _ judge: inout GPUJudge, details: Details?, confirmed time: ContinuousClock.Instant,
        at now: ContinuousClock.Instant
    ) {
        guard var sample = told?.sample else { return }
        let details = Self.counting(details, at: now)
        if let details { sample.take(details: details.judged.all) }
        told?.details = details?.time
        let judged = judge.judge(sample)
        last = (judged, time)
        verdict = judged.problem.map { Verdict(reason: $0, troubled: judged.troubled, time: time) }
    }

    private static func counting(_ details: Details?, at now: ContinuousClock.Instant) -> Details? {
        details.flatMap { now - $0.time <= detailsAge ? $0 : nil }
    }

    /// The sample to rely on if there is a fresh one.
    func fresh(at now: ContinuousClock.Instant) -> GPUJudge.Judged? {
        guard isSpeaking, verdict == nil, let last, now - last.time <= Self.freshness else { return nil }
        return last.judged
    }
}

extension GPUSample {
    /// Takes over what only nvidia-smi is asked for, and a trouble that only it shows, of the same GPUs.
    fileprivate mutating func take(details: GPUSample) {
        driverVersion = driverVersion ?? details.driverVersion
        cudaVersion = cudaVersion ?? details.cudaVersion
        for index in gpus.indices {
            guard let other = details.counterpart(of: gpus[index], among: gpus.count) else { continue }
            gpus[index].productName = gpus[index].productName ?? other.productName
            gpus[index].temperature = other.temperature
            gpus[index].power = other.power
            if gpus[index].migDevices.isEmpty { gpus[index].migDevices = other.migDevices }
            if let fault = other.fault { gpus[index].add(fault: fault) }
        }
    }

    /// The same GPU in this sample: by UUID, or by position where one of the two UUIDs is missing and the lists are alike.
    private func counterpart(of gpu: GPU, among count: Int) -> GPU? {
        let candidates = gpus.filter { $0.uuid == gpu.uuid && gpu.uuid != nil }
        if let same = candidates.first(where: { $0.index == gpu.index }) ?? candidates.first { return same }
        guard gpus.count == count, let other = gpus.first(where: { $0.index == gpu.index }) else { return nil }
        return gpu.uuid == nil || other.uuid == nil ? other : nil
    }
}
