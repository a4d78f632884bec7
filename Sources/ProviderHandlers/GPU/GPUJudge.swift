/// Narrows samples to the GPUs that count, and tells whether they can be relied on.
struct GPUJudge {
    /// A sample, narrowed, and the whole one it was.
    struct Judged: Equatable {
        var selected: GPUSample
        var all: GPUSample
        /// Why the state is unknown all the same; nil for a sample to rely on.
        var problem: String?
    }

    private let devices: [String]
    /// The GPUs seen since the start, by UUID: one that is missing later has not been taken out by anybody but has failed.
    private var seen: [String: String] = [:]
    private var isOfAMD = false

    init(devices: [String]) {
        self.devices = devices
    }

    mutating func judge(_ sample: GPUSample) -> Judged {
        // A driver of NVIDIA's that turns up later takes the place of AMD's, which has lost nothing by it.
        if isOfAMD != (sample.origin == .amdgpu) {
            isOfAMD.toggle()
            seen = [:]
        }
        let (selected, absent) = sample.selecting(devices)
        var judged = Judged(selected: selected, all: sample)
        if !absent.isEmpty {
            let names = absent.map { "\"\($0)\"" }.joined(separator: ", ")
            judged.problem =
                "gpu.devices: \(names) is not among the \(sample.gpus.count) GPUs that \(sample.origin.rawValue) lists"
        } else if let faulty = selected.gpus.first(where: { $0.fault != nil }) {
            judged.problem = "\(faulty.name): \(faulty.fault ?? "")"
        } else {
            let present = Set(selected.gpus.compactMap(\.uuid))
            let lost = seen.filter { !present.contains($0.key) }.map(\.value).sorted()
            if !lost.isEmpty {
                judged.problem = "\(lost.joined(separator: ", ")): \(sample.origin.rawValue) no longer lists it"
            }
        }
        if judged.problem == nil {
            for gpu in selected.gpus { if let uuid = gpu.uuid { seen[uuid] = gpu.name } }
        }
        return judged
    }
}

extension GPU {
    fileprivate var name: String {
        uuid.map { "GPU \(index) (\($0))" } ?? "GPU \(index)"
    }
}
