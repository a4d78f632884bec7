/// Reads every GPU through NVML, one sample after the other.
///
/// Only for the child process of `NVMLProbe`: see `NVMLLibrary`.
struct NVMLReader {
    /// What does not change while NVML stays initialized.
    private let fixed: GPUSample
    /// One for each GPU of `fixed`; nil for one that cannot be had.
    private let devices: [NVMLDevice?]

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
                gpu.uuid = try device.uuid()
                gpu.productName = try? device.name()
                devices.append(device)
            } catch {
                gpu.fault = error.words
                devices.append(nil)
            }
            sample.gpus.append(gpu)
        }
        fixed = sample
        self.devices = devices
    }

    /// The GPUs now; one that answers with an error other than "not available" has it as its fault.
    func sample() -> GPUSample {
        var sample = fixed
        for (index, device) in devices.enumerated() {
            guard let device else { continue }
            do throws(NVMLFailure) {
                try read(&sample.gpus[index], device)
            } catch {
                sample.gpus[index].fault = error.words
            }
        }
        return sample
    }

    private func read(_ gpu: inout GPU, _ device: NVMLDevice) throws(NVMLFailure) {
        gpu.utilization = try ifAvailable(device.utilization)
        if let memory = try ifAvailable(device.memory) {
            gpu.memoryTotal = memory.total
            gpu.memoryUsed = memory.used
            gpu.memoryFree = memory.free
        }
        gpu.isMIG = try ifAvailable(device.isMIG) ?? false
        if gpu.isMIG { gpu.migDevices = try migDevices(device) }
    }

    private func migDevices(_ gpu: NVMLDevice) throws(NVMLFailure) -> [MIGDevice] {
        var found: [MIGDevice] = []
        for index in 0..<(try ifAvailable(gpu.maxMIGDevices) ?? 0) {
            let device: NVMLDevice
            do throws(NVMLFailure) {
                device = try gpu.migDevice(index)
            } catch  where error.code == NVMLFailure.notFound || error.isNotAvailable {
                continue
            }
            let memory = try ifAvailable(device.memory)
            found.append(
                MIGDevice(
                    index: index, uuid: try ifAvailable(device.uuid), gpuInstance: try ifAvailable(device.gpuInstance),
                    computeInstance: try ifAvailable(device.computeInstance), memoryTotal: memory?.total,
                    memoryUsed: memory?.used, memoryFree: memory?.free))
        }
        return found
    }

    /// nil for what the GPU does not tell.
    private func ifAvailable<Value>(_ read: () throws(NVMLFailure) -> Value) throws(NVMLFailure) -> Value? {
        do throws(NVMLFailure) {
            return try read()
        } catch  where error.isNotAvailable {
            return nil
        }
    }
}
