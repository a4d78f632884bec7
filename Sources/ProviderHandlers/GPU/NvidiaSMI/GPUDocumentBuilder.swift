/// Makes a sample of the elements of an nvidia-smi document, told one after the other.
///
/// Elements are recognized by their whole path, because names repeat. MIG devices have an `fb_memory_usage` ahead of the
/// GPU's, `bar1_memory_usage` has the same children, and accounted processes have a `gpu_util`.
struct GPUDocumentBuilder {
    /// Real documents are 8 deep.
    private static let maxDepth = 64
    /// Longer than any value of interest; the rest of a longer text is dropped.
    private static let maxTextBytes = 1024
    private static let root = "nvidia_smi_log"
    private static let migDevice = [root, "gpu", "mig_devices", "mig_device"]

    /// What has been told so far.
    private(set) var sample = GPUSample(gpus: [])
    /// nvidia-smi's own account of what went wrong; its DTD has an element for it.
    private(set) var errorString: String?
    /// Whether the root element has been closed.
    private(set) var isComplete = false

    private var path: [String] = []
    private var text: [UInt8] = []

    /// - Returns: why the document is refused; nil to go on.
    mutating func start(_ name: String) -> String? {
        if path.isEmpty && name != Self.root { return "is not from nvidia-smi: its root element is unknown" }
        guard path.count < Self.maxDepth else { return "is nested too deeply" }
        path.append(name)
        text.removeAll(keepingCapacity: true)
        if path.count == 2 && name == "gpu" { sample.gpus.append(GPU(index: sample.gpus.count)) }
        if path == Self.migDevice { sample.gpus[sample.gpus.count - 1].migDevices.append(MIGDevice()) }
        return nil
    }

    mutating func add(_ bytes: RawSpan) {
        // However long the white space before a value is, the value counts.
        let spaces = text.isEmpty ? unsafe bytes.withUnsafeBytes { unsafe $0.prefix(while: Self.isSpace).count } : 0
        text.append(bytes.extracting(droppingFirst: spaces).extracting(first: Self.maxTextBytes - text.count))
    }

    mutating func end() {
        let value = trimmedText
        switch path.count {
        case 1: isComplete = true
        case 2: take(value, path[1])
        case 3, 4: if path[1] == "gpu" { take(value, ofGPU: path[2...].joined(separator: "/")) }
        case 5, 6: if path.starts(with: Self.migDevice) { take(value, ofMIG: path[4...].joined(separator: "/")) }
        default: break
        }
        path.removeLast()
        text.removeAll(keepingCapacity: true)
    }

    private var trimmedText: String {
        guard let first = text.firstIndex(where: { !Self.isSpace($0) }),
            let last = text.lastIndex(where: { !Self.isSpace($0) })
        else { return "" }
        return String(decoding: text[first...last], as: UTF8.self)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private mutating func take(_ value: String, _ name: String) {
        switch name {
        case "driver_version": sample.driverVersion = GPUValue.text(value)
        case "cuda_version": sample.cudaVersion = GPUValue.text(value)
        case "attached_gpus": sample.attachedGPUs = GPUValue.count(value)
        case "error_string": errorString = GPUValue.text(value)
        default: break
        }
    }

    private mutating func take(_ value: String, ofGPU name: String) {
        let newest = sample.gpus.count - 1
        switch name {
        case "product_name": sample.gpus[newest].productName = GPUValue.text(value)
        case "uuid": sample.gpus[newest].uuid = GPUValue.text(value)
        case "utilization/gpu_util": sample.gpus[newest].take(LoadReading(printed: value), from: "gpu_util")
        // Drivers before 570 have the first two, later ones the third.
        case "gpu_reset_status/reset_required", "gpu_reset_status/drain_and_reset_recommended", "gpu_recovery_action":
            if let words = LoadReading.resetTrouble(value) {
                sample.gpus[newest].add(fault: "\(path.last ?? ""): \(words)")
            }
        case "fb_memory_usage/total": sample.gpus[newest].memoryTotal = GPUValue.mebibytes(value)
        case "fb_memory_usage/used": sample.gpus[newest].memoryUsed = GPUValue.mebibytes(value)
        case "fb_memory_usage/free": sample.gpus[newest].memoryFree = GPUValue.mebibytes(value)
        case "mig_mode/current_mig": sample.gpus[newest].isMIG = value == "Enabled"
        case "temperature/gpu_temp": sample.gpus[newest].temperature = GPUValue.celsius(value)
        // Driver 535 renamed the element around it and 570 the value, of which it then has two kinds.
        case "power_readings/power_draw", "gpu_power_readings/power_draw", "gpu_power_readings/average_power_draw":
            sample.gpus[newest].power = GPUValue.watts(value)
        case "gpu_power_readings/instant_power_draw":
            sample.gpus[newest].power = sample.gpus[newest].power ?? GPUValue.watts(value)
        default: break
        }
    }

    private mutating func take(_ value: String, ofMIG name: String) {
        let gpu = sample.gpus.count - 1
        let newest = sample.gpus[gpu].migDevices.count - 1
        switch name {
        case "index": sample.gpus[gpu].migDevices[newest].index = GPUValue.count(value)
        case "uuid": sample.gpus[gpu].migDevices[newest].uuid = GPUValue.text(value)
        case "gpu_instance_id": sample.gpus[gpu].migDevices[newest].gpuInstance = GPUValue.count(value)
        case "compute_instance_id": sample.gpus[gpu].migDevices[newest].computeInstance = GPUValue.count(value)
        case "fb_memory_usage/total": sample.gpus[gpu].migDevices[newest].memoryTotal = GPUValue.mebibytes(value)
        case "fb_memory_usage/used": sample.gpus[gpu].migDevices[newest].memoryUsed = GPUValue.mebibytes(value)
        case "fb_memory_usage/free": sample.gpus[gpu].migDevices[newest].memoryFree = GPUValue.mebibytes(value)
        default: break
        }
    }
}
