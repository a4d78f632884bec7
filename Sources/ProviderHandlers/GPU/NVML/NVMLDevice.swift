import CNVML

/// A GPU or MIG device as NVML knows it. Valid while the library is initialized; it is never shut down.
///
/// The handle never leaves this type.
@safe struct NVMLDevice {
    /// MiB; used as nvidia-smi counts it, without what the driver reserves.
    typealias Memory = (total: Int, used: Int, free: Int)

    private let library: NVMLLibrary
    private let handle: NVMLHandle

    init(_ library: NVMLLibrary, index: Int) throws(NVMLFailure) {
        let get = unsafe try library.function("nvmlDeviceGetHandleByIndex_v2", NVMLHandleByIndex.self)
        var handle: NVMLHandle?
        try library.check(unsafe get(CUnsignedInt(index), &handle))
        unsafe try self.init(library, handle)
    }

    private init(_ library: NVMLLibrary, _ handle: NVMLHandle?) throws(NVMLFailure) {
        guard let handle = unsafe handle else { throw NVMLFailure(code: NVMLFailure.notFound, words: "no handle") }
        self.library = library
        unsafe self.handle = unsafe handle
    }

    func uuid() throws(NVMLFailure) -> String { try text("nvmlDeviceGetUUID") }

    func name() throws(NVMLFailure) -> String { try text("nvmlDeviceGetName") }

    /// Percent of the time, in the last sixth of a second to second, in which something ran on the GPU.
    func utilization() throws(NVMLFailure) -> Int {
        Int(unsafe try library.utilization(of: handle).gpu)
    }

    func memory() throws(NVMLFailure) -> Memory {
        do throws(NVMLFailure) {
            let get = unsafe try library.function("nvmlDeviceGetMemoryInfo_v2", NVMLGetMemory2.self)
            var memory = NVMLMemory2()
            memory.version = nvmlMemory2Version
            try library.check(unsafe get(handle, &memory))
            return Self.memory(total: memory.total, reserved: memory.reserved, used: memory.used, free: memory.free)
        } catch  where LoadReading.isNoCounter(error) {
            // Drivers before 510 have only the first version, and nvidia-smi prints its numbers.
            let get = unsafe try library.function("nvmlDeviceGetMemoryInfo", NVMLGetMemory.self)
            var memory = NVMLMemory()
            try library.check(unsafe get(handle, &memory))
            return Self.memory(total: memory.total, reserved: 0, used: memory.used, free: memory.free)
        }
    }

    /// According to the guide of driver 525, used includes reserved memory; real drivers leave it out (Cldfire/nvml-wrapper
    /// issue 57). The sum that equals the total tells which.
    private static func memory(total: UInt64, reserved: UInt64, used: UInt64, free: UInt64) -> Memory {
        let isReservedIncluded = used >= reserved && used &+ free &+ reserved > total
        return (Int(total >> 20), Int((isReservedIncluded ? used - reserved : used) >> 20), Int(free >> 20))
    }

    // MARK: MIG

    func isMIG() throws(NVMLFailure) -> Bool {
        let get = unsafe try library.function("nvmlDeviceGetMigMode", NVMLTwoNumbers.self)
        var current: CUnsignedInt = 0
        var pending: CUnsignedInt = 0
        try library.check(unsafe get(handle, &current, &pending))
        return current == 1
    }

    func maxMIGDevices() throws(NVMLFailure) -> Int { try number("nvmlDeviceGetMaxMigDeviceCount") }

    /// - Throws: NOT_FOUND where the position is empty.
    func migDevice(_ index: Int) throws(NVMLFailure) -> NVMLDevice {
        let get = unsafe try library.function("nvmlDeviceGetMigDeviceHandleByIndex", NVMLMIGHandleByIndex.self)
        var found: NVMLHandle?
        try library.check(unsafe get(handle, CUnsignedInt(index), &found))
        return unsafe try NVMLDevice(library, found)
    }

    func gpuInstance() throws(NVMLFailure) -> Int { try number("nvmlDeviceGetGpuInstanceId") }

    func computeInstance() throws(NVMLFailure) -> Int { try number("nvmlDeviceGetComputeInstanceId") }

    private func text(_ name: String) throws(NVMLFailure) -> String {
        let get = unsafe try library.function(name, NVMLText.self)
        return unsafe try library.text { unsafe get(handle, $0, $1) }
    }

    private func number(_ name: String) throws(NVMLFailure) -> Int {
        let get = unsafe try library.function(name, NVMLNumber.self)
        var number: CUnsignedInt = 0
        try library.check(unsafe get(handle, &number))
        return Int(number)
    }
}
