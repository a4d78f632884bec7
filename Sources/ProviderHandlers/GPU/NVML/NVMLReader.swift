/// Reads every GPU through NVML, one sample after the other.
///
/// Only for the child process of `NVMLProbe`: see `NVMLLibrary`.
struct NVMLReader {
    /// The newest sample.
    private(set) var sample: GPUSample
    /// One for each GPU of the sample; nil for a GPU without a handle.
    private let devices: [NVMLDevice?]
    /// The faults of the handle and of the newest details; they last until the details are read again.
    private var faults: [String?]

    /// - Throws: when NVML cannot be initialized or does not tell how many GPUs there are.
    init(_ library: NVMLLibrary) throws(NVMLFailure) {
        try library.initialize()
        var sample = GPUSample(gpus: [], origin: .nvml)
        sample.driverVersion = try? library.driverVersion()
        sample.cudaVersion = try? library.cudaVersion()
        var devices: [NVMLDevice?] = []
        for index in 0..<(try library.count()) {
            var gpu = GPU(index: index)
            do throws(NVMLFailure) {
                let device = try NVMLDevice(library, index: index)
                gpu.uuid = try Self.ifCounted(device.uuid)
                gpu.productName = try Self.detail(device.name)
                devices.append(device)
            } catch {
                gpu.fault = LoadReading.words(error.words)
                devices.append(nil)
            }
            sample.gpus.append(gpu)
        }
        faults = sample.gpus.map(\.fault)
        self.sample = sample
        self.devices = devices
    }

    /// Reads the utilizations anew.
    ///
    /// - Parameter withDetails: memory and MIG devices too, which cost more and change less.
    mutating func read(withDetails: Bool) {
        for (index, device) in devices.enumerated() {
            guard let device else { continue }
            sample.gpus[index].fault = nil
            do throws(NVMLFailure) {
                sample.gpus[index].take(LoadReading(try device.utilization()), from: "utilization")
            } catch {
                sample.gpus[index].utilization = nil
                // NVML's words for an error speak of the GPU.
                if case .trouble(let words) = LoadReading(error) { sample.gpus[index].fault = words }
            }
            if withDetails {
                faults[index] = nil
                do throws(NVMLFailure) {
                    try Self.readDetails(of: &sample.gpus[index], device)
                } catch {
                    faults[index] = LoadReading.words(error.words)
                }
            }
            if let fault = faults[index] { sample.gpus[index].add(fault: fault) }
        }
    }

    /// - Throws: when the GPU is lost. Any other error for a detail makes the detail unknown.
    private static func readDetails(of gpu: inout GPU, _ device: NVMLDevice) throws(NVMLFailure) {
        let memory = try detail(device.memory)
        (gpu.memoryTotal, gpu.memoryUsed, gpu.memoryFree) = (memory?.total, memory?.used, memory?.free)
        gpu.isMIG = try detail(device.isMIG) ?? false
        gpu.migDevices = gpu.isMIG ? try migDevices(device) : []
    }

    private static func migDevices(_ gpu: NVMLDevice) throws(NVMLFailure) -> [MIGDevice] {
        var found: [MIGDevice] = []
        for index in 0..<(try detail(gpu.maxMIGDevices) ?? 0) {
            guard let device = try detail({ () throws(NVMLFailure) in try gpu.migDevice(index) }) else { continue }
            let memory = try detail(device.memory)
            found.append(
                MIGDevice(
                    index: index, uuid: try detail(device.uuid), gpuInstance: try detail(device.gpuInstance),
                    computeInstance: try detail(device.computeInstance), memoryTotal: memory?.total,
                    memoryUsed: memory?.used, memoryFree: memory?.free))
        }
        return found
    }

    /// nil for a value that the GPU does not have, or that this user may not see.
    private static func ifCounted<Value>(_ read: () throws(NVMLFailure) -> Value) throws(NVMLFailure) -> Value? {
        do throws(NVMLFailure) {
            return try read()
        } catch  where LoadReading.isNoCounter(error) {
            return nil
        }
    }

    /// The value, or nil where NVML gives none.
    ///
    /// - Throws: when NVML says that the GPU is lost or needs a reset.
    private static func detail<Value>(_ read: () throws(NVMLFailure) -> Value) throws(NVMLFailure) -> Value? {
        do throws(NVMLFailure) {
            return try read()
        } catch  where !LoadReading.isLost(error) {
            return nil
        }
    }
}
