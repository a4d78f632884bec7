/// Why the GPUs are not read through NVML.
enum NVMLTrouble: Sendable, Equatable {
    case missing(String)
    case failing(String)
}

/// What the sampler knows; a value, so that every transition can be tested without a clock.
///
/// With `gpu.source: auto` NVML's newest sample counts. While NVML is in trouble, later runs of nvidia-smi count.
struct SamplerState {
    /// A line for the log.
    struct Announcement: Equatable {
        var isProblem: Bool
        var text: String
    }

    private let source: Configuration.GPUSource
    private let maxAge: Duration
    private let interval: Duration
    private var judge: GPUJudge
    private var nvidiaSMI: NvidiaSMIState
    private var nvml = NVMLState()
    private var announced: Announcement?
    private var announcedSource: Announcement?
    /// Counts the samples that the status was of, and NVML's words that confirm one.
    private var samples: UInt64 = 0

    init(_ configuration: Configuration.GPU) {
        source = configuration.source
        maxAge = configuration.maxSampleAge
        interval = configuration.sampleInterval
        judge = GPUJudge(devices: configuration.devices)
        nvidiaSMI = NvidiaSMIState(configuration)
    }

    private var usesNVML: Bool { source == .auto || source == .nvml }

    /// Whether it cannot be told yet how the GPUs are.
    var isFirst: Bool {
        if !usesNVML { return nvidiaSMI.isOpen }
        if source == .nvml || nvml.last != nil { return nvml.isOpen }
        // A missing or failing nvidia-smi proves nothing while NVML may still respond.
        return nvidiaSMI.isOpen || nvml.isOpen && !nvidiaSMI.isKnown
    }

    /// Whether nvidia-smi, and NVML where it is asked, have each had a first word.
    var hasHeardEachSource: Bool { !nvidiaSMI.isOpen && !(usesNVML && nvml.isOpen) }

    /// Why NVML is not there, or what is wrong with it; nil when it works or is not asked.
    var nvmlTrouble: NVMLTrouble? {
        nvml.failure.map { .failing($0.reason) } ?? nvml.absence.map { .missing($0) }
    }

    /// Whether the load is known without nvidia-smi, which then only tells details.
    func needsOnlyDetails(at now: ContinuousClock.Instant) -> Bool {
        usesNVML && nvml.fresh(at: now) != nil
    }

    /// Runs of nvidia-smi begun, ended and found to hang.
    var steps: UInt64 { nvidiaSMI.steps }

    /// The longest time until the next step, which is the end of a run or the start of the next run. nil when the step may
    /// never come: a run may hang.
    func nextStep(hangLimit: Duration, maxPause: Duration) -> Duration? {
        nvidiaSMI.nextStep(hangLimit: hangLimit, maxPause: maxPause)
    }

    /// Notes that a run of nvidia-smi begins.
    mutating func begin(at now: ContinuousClock.Instant) {
        nvidiaSMI.begin(at: now)
    }

    /// Records the outcome of a run.
    ///
    /// - Returns: what to log; nil when nothing has changed but the numbers.
    mutating func end(
        _ result: Result<GPUSample, NvidiaSMIError>, at now: ContinuousClock.Instant
    ) -> Announcement? {
        var result = result
        if case .success(let sample) = result, sample.origin == .amdgpu, nvml.last != nil {
            result = .failure(.missing(program: "nvidia-smi", reason: "not found"))
        }
        nvidiaSMI.end(result, &judge, at: now)
        nvml.takeOver(nvidiaSMI.last, &judge, at: now)
        if nvidiaSMI.isKnown && source != .nvml && !needsOnlyDetails(at: now) { samples += 1 }
        return announce(at: now)
    }

    /// Whether a run takes longer than `limit` and has not been found to hang.
    func isOverdue(at now: ContinuousClock.Instant, limit: Duration) -> Bool {
        nvidiaSMI.isOverdue(at: now, limit: limit)
    }

    /// Notes that a run hangs, if it is overdue.
    mutating func hang(at now: ContinuousClock.Instant, limit: Duration) -> Announcement? {
        nvidiaSMI.hang(at: now, limit: limit) ? announce(at: now) : nil
    }

    /// Notes a word of NVML's.
    mutating func take(_ word: NVMLMessage, at now: ContinuousClock.Instant) -> [Announcement] {
        switch word {
        case .sample:
            nvidiaSMI.forgetAMD()
            samples += 1
        case .alive:
            guard nvml.isSpeaking else { return [] }
            samples += 1
            // Nothing to say, which is by far the most frequent word: no text is made.
            let isSame = nvml.fresh(at: now) != nil && !nvml.takeOver(nvidiaSMI.last, &judge, at: now)
            if isSame {
                nvml.take(word, &judge, details: nvidiaSMI.last, at: now)
                return []
            }
        case .load, .missing, .failure: break
        }
        nvml.take(word, &judge, details: nvidiaSMI.last, at: now)
        return [announceSource(), announce(at: now)].compactMap(\.self)
    }

    /// The sample that the status is of, for `Admission`.
    func sample(at now: ContinuousClock.Instant) -> GPULook {
        // A renewal of NVML shows everything before it; each run of nvidia-smi is a separate look.
        let isOfNVML = nvml.fresh(at: now) != nil || !isNvidiaSMINewer
        if isOfNVML, let word = nvml.last?.time { return GPULook(number: samples, shows: word - NVMLState.renewal) }
        return GPULook(number: samples, taken: nvidiaSMI.last?.time, spacing: interval)
    }

    /// When the newest sample was taken, or confirmed by NVML; nil without one.
    var newest: ContinuousClock.Instant? {
        [nvml.last?.time, nvidiaSMI.last?.time].compactMap(\.self).max()
    }

    /// The state at `now`: a sample grows old without anybody doing anything.
    func status(at now: ContinuousClock.Instant) -> GPUStatus {
        if !usesNVML { return nvidiaSMI.status(at: now) }
        if let fresh = nvml.fresh(at: now) { return .known(fresh.selected) }
        let isAlone = source == .nvml
        if let reason = nvml.absence {
            return isAlone
                ? .unknown(reason: "NVML: \(reason)", last: nil) : nvidiaSMI.status(at: now, without: reason)
        }
        guard !nvml.isOpen else {
            if !isAlone && nvidiaSMI.absence == nil && !nvidiaSMI.isOpen { return nvidiaSMI.status(at: now) }
            return .unknown(reason: "NVML has not responded yet", last: nil)
        }
        if isNvidiaSMINewer {
            let status = nvidiaSMI.status(at: now)
            guard case .known = status, let verdict = nvml.verdict, let seen = nvidiaSMI.last?.judged.all else {
                return status
            }
            // A vaguer word than a number does not make a GPU well that NVML has found in trouble.
            if verdict.troubled.allSatisfy(seen.clears) { return status }
        }
        let last = nvml.last
        if nvml.verdict == nil, let last, now - last.time <= maxAge { return .known(last.judged.selected) }
        let reasons = [nvml.verdict?.reason, nvml.failure?.reason].compactMap(\.self)
        let reason = reasons.isEmpty ? "NVML is silent" : reasons.joined(separator: "; ")
        return .unknown(reason: reason, last: last?.judged.selected ?? nvidiaSMI.last?.judged.selected)
    }

    /// Whether nvidia-smi has looked at the GPUs since NVML's last word: only then does it tell more than NVML has.
    private var isNvidiaSMINewer: Bool {
        guard source != .nvml, nvidiaSMI.absence == nil, let asOf = nvidiaSMI.asOf else { return false }
        return nvml.last.map { asOf > $0.time } ?? true
    }

    private mutating func announce(at now: ContinuousClock.Instant) -> Announcement? {
        let announcement: Announcement
        switch status(at: now) {
        case .absent:
            announcement = Announcement(isProblem: false, text: "no GPU: \(nvidiaSMI.absence ?? "")")
        case .unknown where isFirst: return nil
        case .unknown(let reason, _):
            announcement = Announcement(isProblem: true, text: "GPU state unknown: \(reason)")
        case .known(let sample):
            let all = nvml.fresh(at: now)?.all ?? nvidiaSMI.last?.judged.all ?? sample
            announcement = Announcement(isProblem: false, text: sample.summary(of: all))
        }
        guard announcement != announced else { return nil }
        announced = announcement
        return announcement
    }

    /// Says when the GPUs are read through NVML, and when they no longer are.
    private mutating func announceSource() -> Announcement? {
        let announcement: Announcement
        if let failure = nvml.failure {
            let rest = source == .nvml ? "" : "; nvidia-smi takes over"
            announcement = Announcement(isProblem: true, text: failure.reason + rest)
        } else if nvml.verdict != nil {
            // NVML works: its word on a GPU is part of the state.
            return nil
        } else if let reason = nvml.absence {
            announcement = Announcement(isProblem: false, text: "GPUs are not read through NVML: \(reason)")
        } else {
            announcement = Announcement(isProblem: false, text: "GPUs are read through NVML")
        }
        guard announcement != announcedSource else { return nil }
        announcedSource = announcement
        return announcement
    }
}
