/// Something that speaks for a GPU although neither a program nor a library that could read it is found.
///
/// With a sign the state is unknown: "not found" alone is no proof of a CPU machine.
struct GPUSign: Sendable, Equatable, CustomStringConvertible {
    /// Completes "although …".
    var description: String
    /// False for `gpu.devices`, which means AMD's cards on a machine that has those alone.
    var isOfNVIDIA = true
}

extension GPUSign {
    /// The setting of the operator's that speaks for a GPU; nil while all are at their defaults.
    init?(_ configuration: Configuration.GPU) {
        if configuration.source != .auto {
            self.init(
                description: "gpu.source is \(configuration.source.rawValue)",
                isOfNVIDIA: configuration.source != .amdgpu)
        } else if configuration.nvidiaSMI != Configuration.GPU().nvidiaSMI {
            self.init(description: "gpu.nvidia_smi is \(Found.value(configuration.nvidiaSMI))")
        } else if !configuration.devices.isEmpty {
            self.init(description: "gpu.devices is set", isOfNVIDIA: false)
        } else {
            return nil
        }
    }
}
