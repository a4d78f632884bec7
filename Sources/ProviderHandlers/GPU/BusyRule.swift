/// When a GPU's load keeps requests out.
public enum BusyRule {
    /// The verdict on what is known of the GPUs.
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

    /// The utilization in percent that decides: the highest under the policy `any`, the lowest under `all`.
    ///
    /// - Returns: nil when no GPU tells its own.
    static func utilization(_ sample: GPUSample, _ configuration: Configuration.GPU) -> Int? {
        let told = sample.gpus.compactMap(\.utilization)
        return switch configuration.busyPolicy {
        case .any: told.max()
        case .all: told.min()
        }
    }
}
