import Foundation
import TestSupport
import Testing

/// No nvidia-smi is found: a CPU machine, or a machine with a hidden GPU.
@Suite struct GPUNotFoundTests {
    private static let unknown = #"{"busy":true,"reason":"gpu_unknown"}"#

    /// No setting of the GPU's but these, and a PATH without programs.
    private func machine(_ settings: [String: String]) -> [String: String?] {
        let defaults: [String: String?] = ["PATH": noPrograms, "PROVIDER_GPU_SOURCE": nil]
        return defaults.merging(settings) { $1 }
    }

    @Test(.enabled(if: OwnGPU.sign == nil, "this machine's own GPU would be found"))
    func aCPUMachineIsNeverBusy() async throws {
        let deployment = try await Deployment(settings: machine([:]))
        try await onThread {
            try deployment.waitUntil("it is free") { try deployment.fetch("GET", "/busy").body == #"{"busy":false}"# }
            #expect(try deployment.complete().status == 200)
            let health = try deployment.fetch("GET", "/health").body
            #expect(health.contains(#""gpu":null"#))
            #expect(!health.contains("gpu: "))
        }
        let log = deployment.worker.standardError
        #expect(log.contains("no GPU: nvidia-smi: not found on PATH (/nonexistent) or in /usr/lib/wsl/lib"))
    }

    @Test(
        .enabled(if: OwnGPU.sign == nil, "this machine's own GPU would be found"),
        arguments: [
            ("PROVIDER_GPU_SOURCE", "nvidia-smi", "gpu.source is nvidia-smi"),
            ("PROVIDER_GPU_SOURCE", "amdgpu", "gpu.source is amdgpu"),
            ("PROVIDER_GPU_DEVICES", "0", "gpu.devices is set"),
            ("PROVIDER_GPU_NVIDIA_SMI", "smi-of-mine", "gpu.nvidia_smi is \"smi-of-mine\""),
            ("PROVIDER_GPU_NVIDIA_SMI", "/nonexistent/smi", "gpu.nvidia_smi is \"/nonexistent/smi\""),
        ])
    func aSettingSpeaksForAGPU(variable: String, value: String, words: String) async throws {
        let deployment = try await Deployment(settings: machine([variable: value]))
        try await onThread {
            let escaped = words.replacing("\"", with: "\\\"")
            try deployment.waitUntil("it is known that none is found") {
                try deployment.fetch("GET", "/health").body.contains("no GPU is found although \(escaped): ")
            }
            #expect(try deployment.fetch("GET", "/busy").body == Self.unknown)
            #expect(try deployment.complete().body.contains(#""code":"gpu_unknown""#))
        }
        #expect(deployment.worker.standardError.contains("GPU state unknown: no GPU is found although "))
    }

    @Test func theReporterSaysItToo() async throws {
        let engine = try ScriptedServer { try $0.respond(200, #"{"object":"list","data":[]}"#) }
        let settings = ["PATH": noPrograms, "PROVIDER_GPU_SOURCE": "nvidia-smi"]
        let reporter = try Deployment.reporter(["--dry-run"], engine: engine, settings: settings)
        try await reporter.waitForExit()
        #expect(
            reporter.standardOutput.contains("gpu: no GPU is found although gpu.source is nvidia-smi: nvidia-smi: "))
    }

    /// Case 11 of the field: a busy GPU with nvidia-smi in WSL 2's directory only.
    @Test(
        .enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"), arguments: [true, false])
    func nvidiaSMIOfWSL(isBusy: Bool) async throws {
        let program = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document(isBusy ? "95 %" : "5 %")))
        let systemd = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        let work = try TemporaryDirectory()
        let deployment = try await Deployment(
            settings: ["PATH": systemd],
            workerCommand: MountNamespace.showingInWSL(program.directory.path, work: work.path))
        try await onThread {
            let busy = isBusy ? #"{"busy":true,"reason":"gpu_busy"}"# : #"{"busy":false}"#
            try deployment.waitUntil("it is seen") { try deployment.fetch("GET", "/busy").body == busy }
        }
        let engine = try ScriptedServer { try $0.respond(200, #"{"object":"list","data":[]}"#) }
        let other = try TemporaryDirectory()
        let reporter = try Deployment.reporter(
            behind: MountNamespace.showingInWSL(program.directory.path, work: other.path), ["--dry-run"],
            engine: engine, settings: ["PATH": systemd])
        try await reporter.waitForExit()
        #expect(reporter.standardOutput.contains("\"utilization\":\(isBusy ? 95 : 5)"))
    }

    /// The library lies there alone as well, and the dynamic linker does not know the directory.
    @Test(.enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func theLibraryOfWSL() async throws {
        let library = try FakeNVML("gpu0.utilization 95")
        let work = try TemporaryDirectory()
        let deployment = try await Deployment(
            settings: machine(["PROVIDER_GPU_SOURCE": "nvml"]),
            workerCommand: MountNamespace.showingInWSL(library.directory.path, work: work.path))
        try await onThread {
            try deployment.waitUntil("it is seen") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":true,"reason":"gpu_busy"}"#
            }
        }
    }

    @Test(.enabled(if: OwnGPU.sign == nil, "this machine's own GPU would be found"))
    func amdgpuStartsNothingElse() async throws {
        let library = try FakeNVML("gpu0.utilization 0")
        let deployment = try await Deployment(
            settings: ["PROVIDER_GPU_SOURCE": "amdgpu"], gpu: .utilization("0 %"), nvml: library)
        try await onThread {
            let words = "amdgpu: no card in /sys/class/drm has this driver"
            try deployment.waitUntil("it is unknown") { try deployment.fetch("GET", "/health").body.contains(words) }
            #expect(try deployment.fetch("GET", "/busy").body == Self.unknown)
        }
        #expect(deployment.gpu?.runs == 0)
        #expect(library.starts == 0)
    }
}
