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

    /// Reads a line, which is hostile: what had crashed may have written it.
    init(line: some Collection<UInt8>) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(line))
        } catch {
            self = .failure("NVML's process wrote something else than it should")
        }
    }
}
