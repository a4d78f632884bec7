/// When a GPU's load keeps requests out.
public enum BusyRule {
    /// The verdict on the GPUs' known state.
    ///
    /// Busy means a utilization strictly above `gpu.busy_threshold` on any GPU, or on all of them, as
    /// `gpu.busy_policy` says. A GPU that tells no utilization does not count.
    public static func verdict(_ status: GPUStatus, _ configuration: Configuration.GPU) -> BusyVerdict {
        switch status {
        case .absent: .idle
        case .unknown(let reason, _): .unknown(reason)
        case .known(let sample):
            switch utilization(sample, configuration) {
            case nil: .unreadable
            case .some(let percent): percent > configuration.busyThreshold ? .busy : .idle
            }
        }
    }

    /// The utilization in percent that decides.
    ///
    /// - Returns: nil when no GPU tells its own.
    static func utilization(_ sample: GPUSample, _ configuration: Configuration.GPU) -> Int? {
        deciding(sample.gpus, configuration)?.utilization
    }

    /// The GPU that decides: with the highest utilization under the policy `any`, with the lowest under `all`.
    ///
    /// - Returns: nil when no GPU tells its utilization.
    static func deciding(
        _ gpus: [GPU], _ configuration: Configuration.GPU
    ) -> (index: Int, utilization: Int)? {
        let told = gpus.compactMap { gpu in gpu.utilization.map { (index: gpu.index, utilization: $0) } }
        return switch configuration.busyPolicy {
        case .any: told.max { $0.utilization < $1.utilization }
        case .all: told.min { $0.utilization < $1.utilization }
        }
    }
}

/// What the GPUs' load means for the next completion.
public enum BusyVerdict: Sendable, Equatable {
    case idle
    case busy
    /// No GPU tells its utilization: only our own requests in flight can tell.
    case unreadable
    /// Counts as busy, for the reason given.
    case unknown(String)

    /// Whether it keeps the next completion out: the only place that combines the verdict and the completions in flight.
    func isBusy(inFlight: Int) -> Bool {
        switch self {
        case .idle: false
        case .busy, .unknown: true
        // The GPUs' only known load is the completions in flight.
        case .unreadable: inFlight > 0
        }
    }
}

/// One look at the GPUs, as far as it matters for the number of completions that it lets in.
public struct GPULook: Sendable, Equatable {
    /// Counts the looks of this process.
    let number: UInt64
    /// Completions admitted until then can be seen in the sample. nil for a source whose samples are far apart: there the
    /// next sample is taken to show everything before it.
    let shows: ContinuousClock.Instant?
    /// When a sample of such a source was taken; nil when the looks of other workers do not matter.
    let taken: ContinuousClock.Instant?
    /// The least time between two samples of such a source: the samples of several workers count as those of one.
    let spacing: Duration

    init(
        number: UInt64, shows: ContinuousClock.Instant? = nil, taken: ContinuousClock.Instant? = nil,
        spacing: Duration = .zero
    ) {
        self.number = number
        self.shows = shows
        self.taken = taken
        self.spacing = spacing
    }
}
