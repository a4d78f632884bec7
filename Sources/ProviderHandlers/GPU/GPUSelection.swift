extension GPUSample {
    /// The sample with only the GPUs that `devices` names, in nvidia-smi's order, and the names that match none.
    ///
    /// This is the one place where GPUs are selected: the rule and the report only ever see the result. The UUID of a MIG
    /// device selects its GPU, with those of its MIG devices that are named.
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
