extension GPUSample {
    /// The sample with only the GPUs that `devices` names, in nvidia-smi's order, and the names that match none.
    ///
    /// This is the one place where GPUs are selected: the rule and the report only ever see the result.
    ///
    /// - Parameter devices: positions in nvidia-smi's order, from 0, or UUIDs; empty selects all.
    func selecting(_ devices: [String]) -> (sample: GPUSample, absent: [String]) {
        guard !devices.isEmpty else { return (self, []) }
        func names(_ device: String, _ position: Int) -> Bool {
            // A UUID starts with "GPU-", so it is never a number.
            Int(device) == position || gpus[position].uuid == device
        }
        var sample = self
        sample.gpus = gpus.indices.filter { position in devices.contains { names($0, position) } }.map { gpus[$0] }
        let absent = devices.filter { device in !gpus.indices.contains { names(device, $0) } }
        return (sample, absent)
    }
}
