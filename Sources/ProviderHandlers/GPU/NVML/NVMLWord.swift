import FoundationEssentials

/// What the child says about NVML: one line of JSON each.
enum NVMLWord: Codable, Equatable, Sendable {
    case sample(GPUSample)
    /// There is no library, or no driver for it: as far as NVML goes, a machine without NVIDIA GPUs.
    case missing(String)
    /// The library is there and does not work, or the child has come to grief.
    case failure(String)

    /// The line, with its end.
    var line: [UInt8] { JSONAnswer.encode(self) + Array("\n".utf8) }

    /// Reads a line, which is hostile: what had crashed may have written it. A number that none can be is as good as none.
    init(line: some Collection<UInt8>) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(line))
            if case .sample(var sample) = self {
                for index in sample.gpus.indices { sample.gpus[index].dropImpossible() }
                self = .sample(sample)
            }
        } catch {
            self = .failure("NVML's process wrote something else than it should")
        }
    }
}

extension GPU {
    /// As `GPUValue` does it with what nvidia-smi prints.
    fileprivate mutating func dropImpossible() {
        utilization = utilization.flatMap { 0...100 ~= $0 ? $0 : nil }
        (memoryTotal, memoryUsed, memoryFree) = (size(memoryTotal), size(memoryUsed), size(memoryFree))
        for index in migDevices.indices {
            migDevices[index].memoryTotal = size(migDevices[index].memoryTotal)
            migDevices[index].memoryUsed = size(migDevices[index].memoryUsed)
            migDevices[index].memoryFree = size(migDevices[index].memoryFree)
        }
    }

    private func size(_ mebibytes: Int?) -> Int? { mebibytes.flatMap { $0 < 0 ? nil : $0 } }
}
