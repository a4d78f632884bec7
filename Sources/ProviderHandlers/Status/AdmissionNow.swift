/// Whether the next completion would be admitted on this machine, and if not, why.
struct AdmissionNow {
    var configuration: Configuration
    var gpu: GPUStatus
    var condition: GPUCondition
    /// The refusal that the next completion would get.
    var refusal: Refusal?
    /// Completions of all workers that run.
    var inFlight: Int

    /// The GPUs that were last seen.
    var gpus: [GPU] { gpu.sample?.gpus ?? [] }

    /// One line for the service manager, without the GPU where there is none.
    var summary: String {
        if let refusal {
            let load = deciding.map { " (\($0.utilization) %)" } ?? ""
            return "refusing: " + (condition == .busy && refusal == .gpuBusy ? "GPU busy\(load)" : reason ?? "")
        }
        let load = deciding.map { ", GPU \($0.utilization) %" } ?? ""
        return "accepting, \(inFlight) of \(configuration.server.maxInFlight) in flight\(load)"
    }

    /// Why the next completion would be refused, in one sentence without a full stop; nil when it would be admitted.
    var reason: String? {
        switch refusal {
        case nil: nil
        case .gpuUnknown?: unknown
        case .gpuBusy?: busy
        case .tooManyInFlight(let limit)?: "\(max(inFlight, limit)) of \(limit) requests in flight"
        case let other?: other.message
        }
    }

    private var unknown: String {
        guard case .unknown(let reason, let last) = gpu else { return "the GPU state is unknown" }
        let isDriver = last?.gpus.contains { $0.fault != nil } != true
        return isDriver ? "the driver does not answer (\(reason))" : "a GPU is in trouble (\(reason))"
    }

    private var busy: String {
        let limit = configuration.gpu.busyThreshold
        if condition == .busy, let deciding {
            return "GPU \(deciding.index) at \(deciding.utilization) %, the limit is \(limit) %"
        }
        if condition == .unreadable { return "a completion runs, and no GPU shows its utilization" }
        return "the newest GPU sample has let in \(configuration.gpu.admitPerSample), as many as it may"
    }

    private var deciding: (index: Int, utilization: Int)? { BusyRule.deciding(gpus, configuration.gpu) }
}
