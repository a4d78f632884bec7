import Glibc

/// Reads the GPUs of the amdgpu driver from sysfs; no tool is needed.
///
/// The kernel's documentation describes the files: "GPU Driver Developer's Guide: amdgpu, Driver Misc" and "GPU Power/Thermal
/// Controls and Monitoring". A file that a GPU does not have is a value that it does not tell.
struct AMDGPU: Sendable {
    private static let maxFileBytes = 4096
    private static let powerState = "/power/runtime_status"
    private static let asleep: Set<String> = ["suspended", "suspending"]

    private let root: String

    /// Where the kernel lists the cards of all drivers.
    static let directory = "/sys/class/drm"

    /// - Parameter root: where sysfs is; tests have their own.
    init(root: String = "/sys") {
        self.root = root
    }

    /// The GPUs in the order of their card numbers; nil when there is none. Blocks until each GPU's firmware has responded.
    func read() -> GPUSample? {
        let drm = root + "/class/drm"
        // Connectors are card0-DP-1.
        let cards = Directory.entries(of: drm).compactMap { name in
            name.hasPrefix("card") ? Int(name.dropFirst("card".count)) : nil
        }
        let devices = cards.sorted().map { "\(drm)/card\($0)/device" }.filter { Self.driver(of: $0) == "amdgpu" }
        guard !devices.isEmpty else { return nil }
        return GPUSample(gpus: devices.enumerated().map { gpu(index: $0, device: $1) }, origin: .amdgpu)
    }

    private func gpu(index: Int, device: String) -> GPU {
        var gpu = GPU(index: index)
        gpu.productName = name(of: device)
        // As ROCm writes it (ROCR_VISIBLE_DEVICES). Integrated GPUs have none.
        gpu.uuid = text(device + "/unique_id").map { "GPU-\($0)" }
        if text(device + Self.powerState) == "suspended" {
            // Asleep, so idle; a look at its load would wake it.
            gpu.utilization = 0
        } else {
            gpu.take(load(of: device), from: "gpu_busy_percent")
        }
        gpu.memoryTotal = mebibytes(device + "/mem_info_vram_total")
        gpu.memoryUsed = mebibytes(device + "/mem_info_vram_used")
        if let total = gpu.memoryTotal, let used = gpu.memoryUsed { gpu.memoryFree = max(0, total - used) }
        readSensors(of: &gpu, device)
        return gpu
    }

    private func load(of device: String) -> LoadReading {
        do throws(UnreadableFile) {
            return LoadReading(file: try BoundedFile(device + "/gpu_busy_percent", limit: Self.maxFileBytes).bytes)
        } catch {
            // The kernel also returns EPERM for a GPU that has fallen asleep since its state was read.
            let isAsleep = error.code == EPERM && Self.asleep.contains(text(device + Self.powerState) ?? "")
            return isAsleep ? .percent(0) : LoadReading(error)
        }
    }

    private func name(of device: String) -> String {
        if let name = text(device + "/product_name") { return name }
        return "AMD GPU" + (text(device + "/device").map { " (\($0))" } ?? "")
    }

    private func readSensors(of gpu: inout GPU, _ device: String) {
        let hwmon = device + "/hwmon"
        guard let sensors = Directory.entries(of: hwmon).filter({ $0.hasPrefix("hwmon") }).min() else { return }
        let directory = "\(hwmon)/\(sensors)"
        // Thousandths of a degree, millionths of a watt.
        gpu.temperature = number(directory + "/temp1_input").map { $0 / 1000 }
        let power = number(directory + "/power1_average") ?? number(directory + "/power1_input")
        gpu.power = power.map { $0 / 1_000_000 }
    }

    // MARK: Files

    private func mebibytes(_ path: String) -> Int? { number(path).map { $0 >> 20 } }

    private func number(_ path: String) -> Int? { text(path).flatMap { Self.number($0) } }

    private static func number(_ text: String) -> Int? {
        Int(text).flatMap { $0 >= 0 ? $0 : nil }
    }

    /// The file's only line; nil when it is empty or cannot be read.
    private func text(_ path: String) -> String? {
        guard let file = try? BoundedFile(path, limit: Self.maxFileBytes) else { return nil }
        let words = ForeignText.excerpt(file.bytes.prefix { $0 != UInt8(ascii: "\n") })
        return words.isEmpty ? nil : words
    }

    /// The name of a device's driver, at the end of a link.
    private static func driver(of device: String) -> String? {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe target.withUnsafeMutableBytes { buffer in
            unsafe readlink(device + "/driver", buffer.baseAddress!, buffer.count)
        }
        guard count > 0 else { return nil }
        return String(decoding: target.prefix(count), as: UTF8.self).split(separator: "/").last.map(String.init)
    }
}
