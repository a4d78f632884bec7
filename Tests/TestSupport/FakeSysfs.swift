import Foundation

/// A sysfs with GPUs in a separate directory.
public final class FakeSysfs: Sendable {
    public let directory: TemporaryDirectory

    public init() throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: directory.path + "/class/drm", withIntermediateDirectories: true)
    }

    /// Adds a card with these files, by their paths within its device.
    public func add(_ name: String, driver: String = "amdgpu", _ files: [String: String] = [:]) throws {
        let device = path(name)
        try FileManager.default.createDirectory(atPath: device, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: device + "/driver", withDestinationPath: "../../../bus/pci/drivers/\(driver)")
        for (file, contents) in files { try write(contents, name, file) }
    }

    public func write(_ contents: String, _ name: String, _ file: String) throws {
        let path = path(name) + "/" + file
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(contents.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// Lets each read of a file fail as the kernel would; nil for a read that succeeds. For Tests/Fakes/amdgpu.c.
    public func fail(_ code: CInt?, _ name: String, _ file: String) throws {
        try write(code.map { "\($0)\n" } ?? "", name, file + ".errno")
    }

    public func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: directory.path + "/class/drm/" + name)
    }

    private func path(_ name: String) -> String { directory.path + "/class/drm/\(name)/device" }

    /// A card that tells everything.
    public static let full = [
        "gpu_busy_percent": "37\n", "mem_info_vram_total": "25753026560\n", "mem_info_vram_used": "1073741824\n",
        "product_name": "AMD Example 7900\n", "unique_id": "1a2b3c4d5e6f7081\n", "device": "0x744c\n",
        "hwmon/hwmon3/temp1_input": "54000\n", "hwmon/hwmon3/power1_average": "26840000\n",
        "power/runtime_status": "active\n",
    ]
}
