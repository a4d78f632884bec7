import Foundation

/// The GPUs of this machine, which decide tests that leave `gpu.source` at `auto`.
enum OwnGPU {
    /// What speaks for a GPU here; nil on a CPU machine.
    static let sign: String? = {
        let files = FileManager.default
        let devices = (try? files.contentsOfDirectory(atPath: "/dev")) ?? []
        if let device = devices.first(where: { $0 == "dxg" || $0.firstMatch(of: /^nvidia[0-9]/) != nil }) {
            return "/dev/\(device)"
        }
        let path = ["/usr/bin", "/bin"].map { $0 + "/nvidia-smi" }
        return (path + ["/proc/driver/nvidia/version", "/usr/lib/wsl/lib", "/sys/module/amdgpu"]).first {
            files.fileExists(atPath: $0)
        }
    }()

    /// Why a test of a CPU machine cannot run; nil where it can.
    static var obstacle: String? { sign.map { "\($0) speaks for a GPU of this machine's own" } }
}
