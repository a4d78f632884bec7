/// Narrows samples to the GPUs that count, and tells whether they can be relied on.
struct GPUJudge {
    /// A sample, narrowed, and the whole one it was.
    struct Judged: Equatable {
        var selected: GPUSample
        var all: GPUSample
        /// Why the state is unknown all the same; nil for a sample to rely on.
        var problem: String?
        /// The GPUs that the problem is about.
        var troubled: [Troubled] = []
    }

    /// A GPU that a sample shows in trouble, or does not show.
    struct Troubled: Equatable {
        /// Its position or UUID, as `gpu.devices` names it.
        var name: String
        /// How many GPUs the sample listed, if only its position is known, which another list may give to another GPU.
        var count: Int?
    }

    private let devices: [String]
    /// The GPUs seen since the start, by UUID: a GPU that is missing later has failed.
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
        }
        let faulty = selected.gpus.filter { $0.fault != nil }
        if judged.problem == nil && !faulty.isEmpty {
            judged.problem = faulty.map { "\($0.name): \($0.fault ?? "")" }.joined(separator: "; ")
        }
        let present = Set(selected.gpus.compactMap(\.uuid))
        let lost = seen.filter { !present.contains($0.key) }.sorted { $0.value < $1.value }
        if judged.problem == nil && !lost.isEmpty {
            let names = lost.map(\.value).joined(separator: ", ")
            judged.problem = "\(names): \(sample.origin.rawValue) no longer lists it"
        }
        if judged.problem == nil {
            for gpu in selected.gpus { if let uuid = gpu.uuid { seen[uuid] = gpu.name } }
        }
        judged.troubled =
            absent.map { Troubled(name: $0) } + lost.map { Troubled(name: $0.key) }
            + faulty.map { gpu in
                gpu.uuid.map { Troubled(name: $0) } ?? Troubled(name: "\(gpu.index)", count: sample.gpus.count)
            }
        return judged
    }
}

extension GPUSample {
    /// Whether the sample shows that a GPU in trouble has recovered: its load is a number.
    func clears(_ troubled: GPUJudge.Troubled) -> Bool {
        if let count = troubled.count, count != gpus.count { return false }
        let named = selecting([troubled.name]).sample.gpus
        return !named.isEmpty && named.allSatisfy { $0.utilization != nil && $0.fault == nil }
    }
}

extension GPU {
    fileprivate var name: String {
        uuid.map { "GPU \(index) (\($0))" } ?? "GPU \(index)"
    }
}
