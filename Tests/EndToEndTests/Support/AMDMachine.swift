import Foundation
import TestSupport
import Testing

/// A machine with AMD GPUs only, as the worker sees it: a tree of files instead of sysfs.
struct AMDMachine: Sendable {
    let sysfs: FakeSysfs
    private let library: Preload

    static let isPossible = Preload.obstacle == nil || ProcessInfo.processInfo.environment["CI"] == "true"

    /// - Parameter count: how many GPUs there are, all idle.
    init(_ count: Int = 1) async throws {
        library = try await Preload("amdgpu.c")
        sysfs = try FakeSysfs()
        for index in 0..<count {
            try sysfs.add("card\(index)", ["gpu_busy_percent": "0\n", "mem_info_vram_total": "25753026560\n"])
        }
    }

    /// For the worker of a deployment.
    static let settings: [String: String?] = [
        "PROVIDER_GPU_SOURCE": "amdgpu", "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02",
    ]

    /// To be put in front of the worker's command.
    var command: [String] { ["env", "LD_PRELOAD=\(library.path)", "SYSFS_ROOT=\(sysfs.directory.path)"] }

    /// Lets each sensor of a GPU return an error; nil for none.
    func fail(_ code: CInt?, card: Int) throws {
        for file in ["gpu_busy_percent", "mem_info_vram_total", "unique_id"] {
            try sysfs.fail(code, "card\(card)", file)
        }
    }
}
