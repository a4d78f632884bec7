import CNVML
import Glibc

/// An error that NVML returns instead of a value.
struct NVMLFailure: Error, Equatable {
    /// nvmlReturn_t, of which the values below are used.
    var code: CInt
    /// nvmlErrorString's words.
    var words: String

    static let functionNotFound: CInt = 13
    static let notFound: CInt = 6
    static let driverNotLoaded: CInt = 9
}

/// Why the library cannot be had at all.
struct NVMLMissing: Error {
    let reason: String
}

/// Owns the loaded library, for the life of the process.
///
/// NVML is thread safe ("API Reference Guide", "What is NVML"), but is called from one thread here. Load it only in a
/// separate process: its calls may hang in the driver, where no signal ends them, and they crash on some WSL 2 machines.
@safe struct NVMLLibrary {
    /// NVIDIA's documented name; its directory is the dynamic linker's business, and WSL 2's is tried after that.
    static let name = "libnvidia-ml.so.1"

    private let handle: UnsafeMutableRawPointer
    /// nvmlDeviceGetUtilizationRates, called 20 times a second: dlsym would cost more than the call.
    private let getUtilization: NVMLGetUtilization?

    init() throws(NVMLMissing) {
        var reasons: [String] = []
        for path in [Self.name, "\(NVIDIADriver.wslDirectory)/\(Self.name)"] {
            if let handle = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL) {
                unsafe self.handle = unsafe handle
                unsafe getUtilization = unsafe dlsym(handle, "nvmlDeviceGetUtilizationRates").map {
                    unsafe unsafeBitCast($0, to: NVMLGetUtilization.self)
                }
                return
            }
            reasons.append(unsafe dlerror().map { unsafe String(cString: $0) } ?? "\(path): cannot be loaded")
        }
        throw NVMLMissing(reason: reasons.joined(separator: "; "))
    }

    /// nvmlDeviceGetUtilizationRates of a device.
    func utilization(of device: NVMLHandle) throws(NVMLFailure) -> NVMLUtilization {
        guard let getUtilization = unsafe getUtilization else {
            throw NVMLFailure(code: NVMLFailure.functionNotFound, words: "nvmlDeviceGetUtilizationRates is missing")
        }
        var rates = NVMLUtilization()
        try check(unsafe getUtilization(device, &rates))
        return rates
    }

    /// nvmlInit_v2: succeeds even when some GPUs are in trouble.
    func initialize() throws(NVMLFailure) {
        let function = try function("nvmlInit_v2", NVMLInit.self)
        try check(function())
    }

    /// A function of the library by its name.
    ///
    /// - Throws: FUNCTION_NOT_FOUND where a driver is too old for it, as NVML itself says.
    func function<Function>(_ name: String, _: Function.Type) throws(NVMLFailure) -> Function {
        guard let symbol = unsafe dlsym(handle, name) else {
            throw NVMLFailure(code: NVMLFailure.functionNotFound, words: "\(name) is missing")
        }
        return unsafe unsafeBitCast(symbol, to: Function.self)
    }

    /// - Throws: for anything but NVML_SUCCESS.
    func check(_ code: CInt) throws(NVMLFailure) {
        guard code != 0 else { return }
        let words = unsafe (try? function("nvmlErrorString", NVMLErrorString.self)).flatMap { function in
            unsafe function(code).map { unsafe String(cString: $0) }
        }
        throw NVMLFailure(code: code, words: words ?? "error \(code)")
    }

    /// The number of GPUs that the driver knows, GPUs in trouble included.
    func count() throws(NVMLFailure) -> Int {
        let function = unsafe try function("nvmlDeviceGetCount_v2", NVMLCount.self)
        var count: CUnsignedInt = 0
        try check(unsafe function(&count))
        return Int(count)
    }

    func driverVersion() throws(NVMLFailure) -> String {
        let function = unsafe try function("nvmlSystemGetDriverVersion", NVMLSystemText.self)
        return unsafe try text { unsafe function($0, $1) }
    }

    /// As nvidia-smi prints it; NVML says 12040 for 12.4.
    func cudaVersion() throws(NVMLFailure) -> String {
        let function = unsafe try function("nvmlSystemGetCudaDriverVersion", NVMLSystemNumber.self)
        var number: CInt = 0
        try check(unsafe function(&number))
        return "\(number / 1000).\(number % 1000 / 10)"
    }

    /// Lets a function write a text.
    func text(_ write: (UnsafeMutablePointer<CChar>, CUnsignedInt) -> CInt) throws(NVMLFailure) -> String {
        // NVML asks for at most 96 bytes; one more stays zero whatever it writes.
        var bytes = [CChar](repeating: 0, count: 97)
        let code = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe write(buffer.baseAddress!, CUnsignedInt(buffer.count - 1))
        }
        try check(code)
        return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
