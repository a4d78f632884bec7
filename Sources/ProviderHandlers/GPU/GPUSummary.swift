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
