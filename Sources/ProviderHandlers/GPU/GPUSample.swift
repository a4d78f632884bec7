/// One GPU as nvidia-smi lists it; what it does not tell is nil.
public struct GPU: Sendable, Equatable {
    var productName: String?
    var uuid: String?
    /// Percent, the integer part of what nvidia-smi prints; nil for a GPU that says N/A (MIG, some vGPUs, old cards).
    var utilization: Int?
    /// MiB, as are the other two. Current drivers reserve a part: used and free do not add up to total.
    var memoryTotal: Int?
    var memoryUsed: Int?
    var memoryFree: Int?
    /// Whether the GPU is split into instances, which is one reason for it to tell no utilization.
    var isMIG = false
}

/// What one run of nvidia-smi told.
public struct GPUSample: Sendable, Equatable {
    /// In nvidia-smi's order, which is that of the PCI addresses.
    var gpus: [GPU]
    var driverVersion: String?
    /// nil with drivers that do not print one.
    var cudaVersion: String?
    /// How many GPUs nvidia-smi counts itself; can differ from those it lists.
    var attachedGPUs: Int?
}

/// What is known of this machine's GPUs at a moment.
public enum GPUStatus: Sendable, Equatable {
    /// There has been no nvidia-smi since the start: a machine without NVIDIA GPUs.
    case absent
    /// The newest sample, narrowed to the GPUs that `gpu.devices` selects.
    case known(GPUSample)
    /// nvidia-smi fails or hangs, or the newest sample is too old; `last` is the last that was taken, narrowed too.
    case unknown(reason: String, last: GPUSample?)
}
