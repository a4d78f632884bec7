import FoundationEssentials

/// What the child says about NVML, one line each: JSON, but for the two words that it says most often.
enum NVMLMessage: Equatable, Sendable {
    case sample(GPUSample)
    /// The utilizations of the child's last sample have changed, and nothing else; nil for a GPU without a number.
    case load([Int?])
    /// NVML has been asked again, and nothing has changed.
    case alive
    /// There is no library, or no driver for it: as far as NVML goes, a machine without NVIDIA GPUs.
    case missing(String)
    /// The library is there and does not work, or the child has come to grief.
    case failure(String)

    private enum Message: Codable {
        case sample(GPUSample)
        case missing(String)
        case failure(String)
    }

    private static let aliveText = Array("alive".utf8)
    private static let loadText = Array("load".utf8)

    /// A line that cannot be read.
    static let nonsense = NVMLMessage.failure("NVML's process wrote an unknown message")

    /// The line, with its end.
    var line: [UInt8] {
        let text =
            switch self {
            case .sample(let sample): JSON.encode(Message.sample(sample))
            case .missing(let reason): JSON.encode(Message.missing(reason))
            case .failure(let reason): JSON.encode(Message.failure(reason))
            case .load(let percents): Self.loadText + percents.flatMap { Array(" \($0.map(String.init) ?? "-")".utf8) }
            case .alive: Self.aliveText
            }
        return text + Array("\n".utf8)
    }

    /// Reads a line, which is hostile: a library that has crashed may have written it. Impossible sizes become nil, and an
    /// impossible utilization is a GPU in trouble.
    init(line: some Collection<UInt8>) {
        if line.elementsEqual(Self.aliveText) {
            self = .alive
        } else if line.starts(with: Self.loadText) {
            self = Self.load(line) ?? .nonsense
        } else {
            switch try? JSONDecoder().decode(Message.self, from: Data(line)) {
            case .sample(var sample):
                for index in sample.gpus.indices { sample.gpus[index].dropImpossible() }
                self = .sample(sample)
            case .missing(let reason): self = .missing(reason)
            case .failure(let reason): self = .failure(reason)
            case nil: self = .nonsense
            }
        }
    }

    private static func load(_ line: some Collection<UInt8>) -> NVMLMessage? {
        let fields = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard fields.first == "load" else { return nil }
        var percents: [Int?] = []
        for field in fields.dropFirst() {
            let percent = Int(field)
            guard percent != nil || field == "-" else { return nil }
            percents.append(percent)
        }
        return .load(percents)
    }
}

extension GPUSample {
    /// The sample with other utilizations; nil when they are not as many as its GPUs.
    func with(loads: [Int?]) -> GPUSample? {
        guard loads.count == gpus.count else { return nil }
        var sample = self
        for (index, percent) in loads.enumerated() {
            sample.gpus[index].take(percent.map { LoadReading($0) } ?? .noCounter, from: "utilization")
        }
        return sample
    }
}

extension GPU {
    /// As `GPUValue` and `LoadReading` do it with what nvidia-smi prints.
    fileprivate mutating func dropImpossible() {
        if let utilization { take(LoadReading(utilization), from: "utilization") }
        fault = fault.map(LoadReading.printable)
        (memoryTotal, memoryUsed, memoryFree) = (size(memoryTotal), size(memoryUsed), size(memoryFree))
        for index in migDevices.indices {
            migDevices[index].memoryTotal = size(migDevices[index].memoryTotal)
            migDevices[index].memoryUsed = size(migDevices[index].memoryUsed)
            migDevices[index].memoryFree = size(migDevices[index].memoryFree)
        }
    }

    private func size(_ mebibytes: Int?) -> Int? { mebibytes.flatMap { $0 < 0 ? nil : $0 } }
}
