import Foundation
import ProviderHandlers

/// What can be fuzzed, by name: each reads bytes that somebody else decides.
enum FuzzTarget: String, CaseIterable {
    /// nvidia-smi's output.
    case nvidiaSMI = "nvidia-smi"
    /// What the child process says that reads NVML.
    case nvml
    /// The files of amdgpu in sysfs.
    case amdgpu
    case configuration
    /// The file that holds the API key alone.
    case keyFile = "key-file"
    /// nginx's file that names the engine.
    case nginxUpstream = "nginx-upstream"
    /// The engine's response: head, events, bodies, and where they break off.
    case engineResponse = "engine-response"
    /// The engine's list of models.
    case models
    /// The central system's verdict on an HMAC.
    case central
    /// The ngrok agent's list of tunnels.
    case tunnels
    /// A request as a client made it, refused or sent on.
    case request

    /// Runs the target once; traps when a property does not hold.
    func run(_ bytes: [UInt8]) {
        switch self {
        case .nvidiaSMI: fuzzNvidiaSMI(bytes)
        case .nvml: fuzzNVML(bytes)
        case .amdgpu: AMDGPUFuzzer.shared.run(bytes)
        case .configuration: ConfigurationFuzzer.shared.run(bytes)
        case .keyFile: KeyFileFuzzer.shared.run(bytes)
        case .nginxUpstream: fuzzNginxUpstream(bytes)
        case .engineResponse: fuzzEngineResponse(bytes)
        case .models: fuzzModels(bytes)
        case .central: fuzzCentral(bytes)
        case .tunnels: fuzzTunnels(bytes)
        case .request: RequestFuzzer.shared.run(bytes)
        }
    }

    /// The target of this process, named by `$FUZZ_TARGET`.
    static let current: FuzzTarget = {
        let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            fatalError("FUZZ_TARGET is none of \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return target
    }()
}

/// libFuzzer's entry (LLVM, "libFuzzer – a library for coverage-guided fuzz testing").
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.current.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
