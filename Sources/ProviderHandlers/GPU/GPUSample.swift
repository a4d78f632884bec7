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
    /// Why the GPU is there and cannot be used, in the driver's words: what `LoadReading` calls trouble. All its other
    /// readings are ignored.
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
    /// In nvidia-smi's order: by PCI address.
    var gpus: [GPU]
    var driverVersion: String?
    /// nil with drivers that do not print one.
    var cudaVersion: String?
    /// The number of GPUs that nvidia-smi counts; may differ from the number that it lists.
    var attachedGPUs: Int?
    var origin = Origin.nvidiaSMI

    /// Who told it; the raw value is the name in messages.
    enum Origin: String, Sendable, Codable {
        case nvidiaSMI = "nvidia-smi"
        case nvml = "NVML"
        case amdgpu
    }
}

/// The state of this machine's GPUs at a moment.
public enum GPUStatus: Sendable, Equatable {
    /// Neither NVML nor nvidia-smi nor the amdgpu driver has shown a GPU since the start: a CPU machine.
    case absent
    /// The newest sample, narrowed to the GPUs that `gpu.devices` selects.
    case known(GPUSample)
    /// A GPU is in trouble or gone, its driver fails or hangs, or the newest sample is too old. `last` is the newest sample,
    /// narrowed too.
    case unknown(reason: String, last: GPUSample?)

    /// The newest sample, which in the state `unknown` cannot be relied on.
    var sample: GPUSample? {
        switch self {
        case .absent: nil
        case .known(let sample): sample
        case .unknown(_, let last): last
        }
    }
}

extension GPUSample {
    /// The sample with only the GPUs that `devices` names, in nvidia-smi's order, and the names that match none.
    ///
    /// GPUs are selected only here: the rule and the report see the result. The UUID of a MIG device selects its GPU, with
    /// the named MIG devices only.
    ///
    /// - Parameter devices: positions in nvidia-smi's order, from 0, or UUIDs; empty selects all.
    func selecting(_ devices: [String]) -> (sample: GPUSample, absent: [String]) {
        guard !devices.isEmpty else { return (self, []) }
        var sample = self
        sample.gpus = gpus.compactMap { gpu in
            if devices.contains(where: gpu.isNamed) { return gpu }
            var gpu = gpu
            gpu.migDevices.removeAll { device in !devices.contains { $0 == device.uuid } }
            return gpu.migDevices.isEmpty ? nil : gpu
        }
        let absent = devices.filter { device in
            !gpus.contains { $0.isNamed(device) || $0.migDevices.contains { $0.uuid == device } }
        }
        return (sample, absent)
    }
}

extension GPU {
    /// A UUID starts with "GPU-", so it is never a number.
    fileprivate func isNamed(_ device: String) -> Bool {
        Int(device) == index || uuid == device
    }
}

extension GPUSample {
    /// The sample for the log, without the numbers that change from one sample to the next.
    ///
    /// - Parameter all: the sample that this one is a selection of.
    func summary(of all: GPUSample) -> String {
        var text = "found \(gpus.count) GPU\(gpus.count == 1 ? "" : "s")"
        if gpus.count != all.gpus.count { text += " of \(all.gpus.count)" }
        // Either was seen with a GPU that had fallen off the bus.
        if let attachedGPUs, attachedGPUs != all.gpus.count { text += " (nvidia-smi counts \(attachedGPUs))" }
        if let driverVersion { text += ", driver \(driverVersion)" }
        if let cudaVersion { text += ", CUDA \(cudaVersion)" }
        return text + ": " + gpus.map(\.summary).joined(separator: "; ")
    }
}

extension GPU {
    fileprivate var summary: String {
        var parts = [productName ?? "unnamed"]
        if let uuid { parts.append(uuid) }
        if let memoryTotal { parts.append("\(memoryTotal) MiB") }
        if isMIG { parts.append("MIG") }
        return parts.joined(separator: " ")
    }
}
