import Foundation
import TestSupport
import Testing

/// A GPU in trouble is never idle, with any driver: from the driver's response to the client's.
@Suite struct TroubledGPUTests {
    private static let unknown = #"{"busy":true,"reason":"gpu_unknown"}"#
    private static let free = #"{"busy":false}"#

    /// Completions and `/busy` are refused; log and report name the GPU and its trouble.
    private func expectUnknown(_ deployment: Deployment, naming words: String) async throws {
        try await onThread {
            try deployment.waitUntil("it is unknown") { try deployment.fetch("GET", "/busy").body == Self.unknown }
            let refusal = try deployment.complete()
            #expect(refusal.status == 503 && refusal.body.contains(#""code":"gpu_unknown""#))
            try deployment.waitUntil("the log names it") { deployment.worker.standardError.contains(words) }
            try deployment.waitUntil("the report names it") {
                let health = try deployment.fetch("GET", "/health")
                return health.status == 503 && health.body.contains(words) && health.body.contains(#""is_busy":true"#)
            }
        }
    }

    private func expectRecovery(_ deployment: Deployment) async throws {
        try await onThread {
            try deployment.waitUntil("it is free again") { try deployment.fetch("GET", "/busy").body == Self.free }
            let status = try deployment.complete().status
            #expect(status == 200)
        }
    }

    // MARK: nvidia-smi

    private static let deprecated = "Requested functionality has been deprecated"

    private static func reset(_ required: String, _ recommended: String = deprecated, action: String? = nil) -> String {
        """
        <gpu_reset_status><reset_required>\(required)</reset_required>
        <drain_and_reset_recommended>\(recommended)</drain_and_reset_recommended></gpu_reset_status>
        \(action.map { "<gpu_recovery_action>\($0)</gpu_recovery_action>" } ?? "")
        """
    }

    @Test(arguments: [
        ("0 %", reset(deprecated, action: "Reset"), "gpu_recovery_action: Reset"),
        ("0 %", reset("Yes", "No"), "reset_required: Yes"),
        ("0 %", reset("No", "Yes"), "drain_and_reset_recommended: Yes"),
        ("[Unknown Error]", "", "gpu_util: Unknown Error"), ("101 %", "", "gpu_util: 101 %"),
    ])
    func nvidiaSMI(utilization: String, elements: String, words: String) async throws {
        let well = ("0 %", Self.reset(Self.deprecated, action: "None"))
        for (gpus, index) in [([(utilization, elements)], 0), ([well, (utilization, elements)], 1)] {
            let deployment = try await Deployment(gpu: .document(FakeNvidiaSMI.document(gpus)))
            try await expectUnknown(deployment, naming: "GPU \(index) (\(FakeNvidiaSMI.uuid(index))): \(words)")
            try deployment.gpu?.set(.document(FakeNvidiaSMI.document(gpus.map { _ in well })))
            try await expectRecovery(deployment)
        }
    }

    @Test func anUnselectedGPUMayBeInTrouble() async throws {
        let document = FakeNvidiaSMI.document([("0 %", ""), ("ERR!", Self.reset("Yes"))])
        let deployment = try await Deployment(settings: ["PROVIDER_GPU_DEVICES": "0"], gpu: .document(document))
        try await expectRecovery(deployment)
    }

    /// MIG in a container: no counter, and the memory kept back.
    @Test func whatIsKeptBackIsNoTrouble() async throws {
        let document = FakeNvidiaSMI.document(
            "[N/A]", elements: "<mig_mode><current_mig>Enabled</current_mig></mig_mode>"
        )
        .replacing("24564 MiB", with: "[Insufficient Permissions]")
        let deployment = try await Deployment(gpu: .document(document))
        try await expectRecovery(deployment)
        try await onThread {
            let health = try deployment.fetch("GET", "/health").body
            #expect(health.contains(#""memory_total":null"#))
        }
    }

    // MARK: NVML beside nvidia-smi

    private static let uuids = (0..<2).map { "gpu\($0).uuid \(FakeNvidiaSMI.uuid($0))\n" }.joined()

    /// nvidia-smi's details have to reach the verdict on NVML's 0 %.
    @Test func aResetThatOnlyNvidiaSMIShows() async throws {
        let fake = try FakeNVML("count 2\n" + Self.uuids)
        let deployment = try await Deployment(
            gpu: .document(FakeNvidiaSMI.document([("0 %", ""), ("0 %", Self.reset("No", action: "Reset"))])),
            nvml: fake)
        try await expectUnknown(deployment, naming: "GPU 1 (\(FakeNvidiaSMI.uuid(1))): gpu_recovery_action: Reset")
        try deployment.gpu?.set(.document(FakeNvidiaSMI.document([("0 %", ""), ("0 %", Self.reset("No"))])))
        try await expectRecovery(deployment)
    }

    /// However often either is asked, and while NVML's process is started again and again.
    @Test(arguments: [[("0 %", ""), ("[N/A]", "")], [("0 %", "")]])
    func nvidiaSMIHasNoNumberForALostGPU(_ gpus: [(String, String)]) async throws {
        let fake = try FakeNVML("count 2\ngpu1.utilization !15\n" + Self.uuids)
        let deployment = try await Deployment(gpu: .document(FakeNvidiaSMI.document(gpus)), nvml: fake)
        try await expectUnknown(deployment, naming: "GPU 1 (\(FakeNvidiaSMI.uuid(1))): GPU is lost")
        try await onThread {
            let runs = deployment.gpu?.runs ?? 0
            try deployment.waitUntil("NVML has been started again") {
                let busy = try deployment.fetch("GET", "/busy").body
                #expect(busy == Self.unknown)
                return fake.starts > 2 && (deployment.gpu?.runs ?? 0) > runs + 3
            }
            try fake.set("init !999\ncount 2\ngpu1.utilization !15\n" + Self.uuids)
            try deployment.waitUntil("NVML fails") {
                let busy = try deployment.fetch("GET", "/busy").body
                #expect(busy == Self.unknown)
                return deployment.worker.standardError.contains("NVML: Unknown Error; nvidia-smi takes over")
            }
            let later = deployment.gpu?.runs ?? 0
            try deployment.waitUntil("nvidia-smi has looked since") {
                let busy = try deployment.fetch("GET", "/busy").body
                #expect(busy == Self.unknown)
                return (deployment.gpu?.runs ?? 0) > later + 2
            }
        }
        try deployment.gpu?.set(.document(FakeNvidiaSMI.document([("0 %", ""), ("0 %", "")])))
        try await expectRecovery(deployment)
    }

    @Test func aNumberOutOfRangeFromNVML() async throws {
        let fake = try FakeNVML("gpu0.utilization 4294967295")
        let deployment = try await Deployment(nvml: fake)
        try await expectUnknown(deployment, naming: "GPU 0 (GPU-0): utilization: 4294967295")
        try fake.set("gpu0.utilization 0")
        try await expectRecovery(deployment)
    }

    // MARK: amdgpu

    private func deployment(
        _ machine: AMDMachine, engine: @escaping ScriptedServer.Script = FakeEngine.object
    ) async throws -> Deployment {
        try await Deployment(
            settings: AMDMachine.settings, workerCommand: machine.command, engine: engine)
    }

    @Test(.enabled(if: AMDMachine.isPossible), arguments: [1, 2])
    func amdInReset(count: Int) async throws {
        let machine = try await AMDMachine(count)
        try machine.fail(EPERM, card: count - 1)
        let deployment = try await deployment(machine)
        try await expectUnknown(
            deployment, naming: "GPU \(count - 1): gpu_busy_percent: Operation not permitted: the GPU is in reset")
        try machine.fail(nil, card: count - 1)
        try await expectRecovery(deployment)
    }

    @Test(.enabled(if: AMDMachine.isPossible), arguments: [EIO, ENODEV, EBUSY])
    func otherErrorsOfAMD(code: CInt) async throws {
        let machine = try await AMDMachine()
        try machine.fail(code, card: 0)
        try await expectUnknown(try await deployment(machine), naming: String(cString: strerror(code)))
    }

    /// BC-250, Raven and a file that this user may not read: one request at a time.
    @Test(.enabled(if: AMDMachine.isPossible), arguments: [EOPNOTSUPP, EINVAL, EACCES, ENODATA, ENOENT])
    func amdWithoutACounter(code: CInt) async throws {
        let asked = Gate()
        let finish = Gate()
        let machine = try await AMDMachine()
        try machine.fail(code, card: 0)
        let deployment = try await deployment(machine) { request in
            asked.open()
            try finish.wait()
            try request.respond(200, "{}")
        }
        try await onThread {
            try deployment.waitUntil("it is free") { try deployment.fetch("GET", "/busy").body == Self.free }
            let first = try deployment.startCompletion()
            try asked.wait()
            let second = try deployment.complete().body
            #expect(second.contains(#""code":"gpu_busy""#))
            finish.open()
            let status = try first.response().status
            #expect(status == 200)
        }
    }

    /// The kernel responds with EPERM for a GPU that fell asleep after its state was read, too.
    @Test(.enabled(if: AMDMachine.isPossible), arguments: ["suspended\n", "suspending\n"])
    func anAMDGPUAsleepIsIdle(state: String) async throws {
        let machine = try await AMDMachine()
        try machine.sysfs.write(state, "card0", "power/runtime_status")
        try machine.fail(EPERM, card: 0)
        try await expectRecovery(try await deployment(machine))
    }

    @Test(.enabled(if: AMDMachine.isPossible)) func textInAFileOfAMD() async throws {
        let machine = try await AMDMachine()
        try machine.sysfs.write("ERR!\n", "card0", "gpu_busy_percent")
        let deployment = try await deployment(machine)
        try await expectUnknown(deployment, naming: "GPU 0: gpu_busy_percent: ERR!")
        try machine.sysfs.write("0\n", "card0", "gpu_busy_percent")
        try await expectRecovery(deployment)
    }
}
