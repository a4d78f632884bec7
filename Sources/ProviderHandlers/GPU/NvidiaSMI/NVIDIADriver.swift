import Glibc

/// The files by which NVIDIA's driver shows on a machine, also where none of its programs is found.
///
/// A file that was seen once stays a sign until the restart, because a driver's files go away while it is replaced.
final class NVIDIADriver: Sendable {
    /// WSL 2 puts nvidia-smi and NVIDIA's libraries here, which is not on the PATH of a service.
    static let wslDirectory = "/usr/lib/wsl/lib"

    private let root: String
    private let seen = Locked<String?>(nil)

    /// - Parameter root: where the file system begins; tests have their own.
    init(root: String = "") {
        self.root = root
    }

    /// The first file of the driver that exists, else the file that was seen before.
    func sign() -> GPUSign? {
        if let found = file() {
            seen.withLock { $0 = found }
            return GPUSign(description: "\(found) is there")
        }
        return seen.withLock { $0 }.map { GPUSign(description: "\($0) was there") }
    }

    /// The first of the driver's files, by the name it has without `root`.
    private func file() -> String? {
        let version = "/proc/driver/nvidia/version"
        if exists(version) { return version }
        if let device = firstDevice() { return "/dev/\(device)" }
        // WSL 2 has one device for the GPUs of all vendors.
        return exists("/dev/dxg") ? "/dev/dxg" : nil
    }

    /// `nvidia0` and its like; `nvidiactl` and `nvidia-uvm` are no GPUs.
    private func firstDevice() -> String? {
        let prefix = "nvidia"
        let devices = Directory.entries(of: root + "/dev").filter { name in
            guard name.hasPrefix(prefix), let digit = name.dropFirst(prefix.count).utf8.first else { return false }
            return UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit
        }
        return devices.min()
    }

    private func exists(_ path: String) -> Bool {
        var information = stat()
        return unsafe lstat(root + path, &information) == 0
    }
}

/// Something that speaks for a GPU although neither a program nor a library that could read it is found.
///
/// With a sign the state is unknown: "not found" alone is no proof of a CPU machine.
struct GPUSign: Sendable, Equatable, CustomStringConvertible {
    /// Completes "although …".
    var description: String
    /// False for `gpu.devices`, which selects AMD's cards on a machine without NVIDIA cards.
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
