/// One GPU as its driver tells of it; what it does not tell is nil.
public struct GPU: Sendable, Equatable, Codable {
    /// Position among all GPUs of the machine, from 0, also when only some are selected.
    var index = 0
    var productName: String?
    var uuid: String?
    /// Percent, the integer part of what nvidia-smi prints; nil for a GPU without the counter (MIG, some vGPUs, old cards)
    /// and for one in trouble.
    var utilization: Int?
    /// MiB, as are the other two. Current drivers reserve a part: used and free do not add up to total.
    var memoryTotal: Int?
    var memoryUsed: Int?
    var memoryFree: Int?
    /// Whether the GPU is split into instances, which is one reason for it to tell no utilization.
    var isMIG = false
    /// Degrees Celsius.
    var temperature: Int?
    /// Watts, the integer part.
    var power: Int?
    /// The instances a GPU is split into.
    var migDevices: [MIGDevice] = []
    /// Why the GPU is there and cannot be used, in the driver's words: what `LoadReading` calls trouble. Nothing else that
    /// such a GPU tells counts.
    var fault: String?
}

/// One instance of a GPU that is split (Multi-Instance GPU); it tells no utilization.
struct MIGDevice: Sendable, Equatable, Codable {
    /// Position within its GPU.
    var index: Int?
    /// nvidia-smi's documents mostly leave it out; NVML tells it.
    var uuid: String?
    var gpuInstance: Int?
    var computeInstance: Int?
    /// MiB, as are the other two.
    var memoryTotal: Int?
    var memoryUsed: Int?
    var memoryFree: Int?
}

/// What one look at the GPUs told.
public struct GPUSample: Sendable, Equatable, Codable {
    /// In nvidia-smi's order, which is that of the PCI addresses.
    var gpus: [GPU]
    var driverVersion: String?
    /// nil with drivers that do not print one.
    var cudaVersion: String?
    /// How many GPUs nvidia-smi counts itself; can differ from those it lists.
    var attachedGPUs: Int?
    var origin = Origin.nvidiaSMI

    /// Who told it; the raw value is the name in messages.
    enum Origin: String, Sendable, Codable {
        case nvidiaSMI = "nvidia-smi"
        case nvml = "NVML"
        case amdgpu
    }
}

/// What is known of this machine's GPUs at a moment.
public enum GPUStatus: Sendable, Equatable {
    /// Neither NVML nor nvidia-smi nor the amdgpu driver has shown a GPU since the start: a CPU machine.
    case absent
    /// The newest sample, narrowed to the GPUs that `gpu.devices` selects.
    case known(GPUSample)
    /// A GPU is in trouble or gone, its driver fails or hangs, or the newest sample is too old; `last` is the last that was
    /// taken, narrowed too.
    case unknown(reason: String, last: GPUSample?)
}
