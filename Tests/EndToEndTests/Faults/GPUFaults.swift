import Foundation
import TestSupport

extension Fault {
    /// What nvidia-smi can do to us. Four requests that reach the worker during the fault; none of them waits for its end.
    static let gpu: [Fault] = [
        nvidiaSMI("nvidia-smi hangs", "once it has been ended, 5 s after its start") {
            try $0.behave("echo $$ >$here/hanging\nexec sleep 600\n")
        },
        nvidiaSMI(
            "nvidia-smi ignores SIGTERM and waits in an uninterruptible sleep (state D, in vfork)",
            "once it has been killed, 1 s after SIGTERM", state: "D"
        ) {
            try $0.behave("echo $$ >$here/hanging\nexec perl -MConfig -e '\(uninterruptible)'\n")
        },
        Fault(
            .gpu, "nvidia-smi survives even SIGKILL (in a frozen control group, version 1)",
            obstacle: Freezer.obstacle, isRare: true
        ) {
            let freezer = try Freezer()
            return try await unknown(
                "with the first sample after it has gone",
                fault: { _, program in
                    try program.behave("echo $$ >$here/hanging\nexec sleep 600\n")
                    try waitUntil("it hangs") { program.process("hanging") != nil }
                    try freezer.freeze(program.process("hanging") ?? 0)
                },
                whileItLasts: { rig in
                    try rig.deployment.waitUntil("it is known to survive SIGKILL") {
                        try rig.deployment.fetch("GET", "/health").body.contains("cannot be killed")
                    }
                }, over: { _ in try freezer.thaw() })
        },
        nvidiaSMI("nvidia-smi prints garbage", "with the next sample") {
            try $0.behave("head -c 5000 /dev/urandom\n")
        },
        nvidiaSMI("nvidia-smi prints half of its XML", "with the next sample") {
            try $0.behave("echo '<?xml version=\"1.0\" ?><nvidia_smi_log><gpu id=\"0\"><product_name>'\n")
        },
        nvidiaSMI(
            "nvidia-smi prints words in place of the utilization (`[Unknown Error]`)", "with the next sample"
        ) {
            try $0.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("[Unknown Error]")))
        },
        nvidiaSMI(
            "nvidia-smi says that the GPU needs a reset (`gpu_recovery_action` is Reset)", "with the next sample"
        ) {
            let element = "<gpu_recovery_action>Reset</gpu_recovery_action>"
            try $0.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %", elements: element)))
        },
        nvidiaSMI("nvidia-smi vanishes", "with the next sample") { try $0.remove() },
        Fault(
            .gpu, "nvidia-smi cannot be started: no process may be (RLIMIT_NPROC 1)",
            obstacle: OtherUser.obstacle, isRare: !OtherUser.isRoot
        ) {
            let user = OtherUser()
            let limit = SharedValue("")
            return try await unknown(
                "with the next sample", user: user,
                fault: { rig, _ in
                    let worker = rig.deployment.worker
                    limit.value = Vitals.limit("Max processes", of: worker.pid) ?? "unlimited"
                    try user.prlimit(worker, "--nproc=1:")
                }, over: { try user.prlimit($0.deployment.worker, "--nproc=\(limit.value):") })
        },
        Fault(
            .gpu, "nvidia-smi is not found although a driver's file speaks for a GPU",
            obstacle: OwnGPU.obstacle
                ?? (MountNamespace.isPossible ? nil : "this user may not have a namespace of mounts"),
            isRare: true
        ) { try await notFound() },
        nvml("NVML hangs", "once its process has been killed, after 2 s of silence") {
            try $1.set("gpu0.utilization hang")
        },
        nvml("NVML crashes", "with the next start of its process") { try $1.set("gpu0.utilization crash") },
        nvml("NVML says that the GPU is lost", "with the next sample") { try $1.set("gpu0.utilization !15") },
        nvml("NVML gives a utilization that is impossible (4294967295)", "with the next sample") {
            try $1.set("gpu0.utilization 4294967295")
        },
        Fault(
            .gpu, "NVML's process survives even SIGKILL (in a frozen control group, version 1)",
            obstacle: Freezer.obstacle, isRare: true
        ) {
            let freezer = try Freezer()
            return try await unknownToNVML(
                "with its next start, once it has gone", again: 1,
                fault: { rig, _ in
                    for child in Vitals.children(of: rig.deployment.worker.pid) { try freezer.freeze(child) }
                }, over: { try freezer.thaw() })
        },
        Fault(.gpu, "NVML hangs, and nvidia-smi beside it takes over") { try await takenOver() },
        Fault(.gpu, "NVML says that the GPU is lost, and nvidia-smi beside it has no number for it") {
            try await besideNvidiaSMI("gpu0.utilization !15", .utilization("[N/A]"), "with the next sample of NVML's")
        },
        Fault(.gpu, "NVML says 0 %, and nvidia-smi beside it that the GPU needs a reset") {
            let element = "<gpu_recovery_action>Reset</gpu_recovery_action>"
            return try await besideNvidiaSMI(
                "", .document(FakeNvidiaSMI.document("0 %", elements: element)), "with the next run of nvidia-smi")
        },
        Fault(.gpu, "the amdgpu driver responds with EPERM, as for a GPU in reset", obstacle: Preload.obstacle) {
            let machine = try await AMDMachine()
            let rig = try await FaultRig { central, engine in
                try await Deployment(
                    settings: AMDMachine.settings, workerCommand: machine.command, central: central,
                    engine: engine)
            }
            return try await rig.outcome {
                let outcome = try refused(rig, "with the next sample", examinedBehind: machine.command) {
                    try machine.fail(EPERM, card: 0)
                }
                try machine.fail(nil, card: 0)
                try rig.waitUntilServed()
                return outcome
            }
        },
    ]

    /// The child of clone(CLONE_VM | CLONE_VFORK | SIGCHLD) sleeps, and its parent waits for it in state D (clone(2)).
    private static let uninterruptible = """
        $SIG{TERM} = "IGNORE"; my $clone = $Config{archname} =~ /^x86_64/ ? 56 : 220; \
        syscall($clone, 0x4111, 0, 0, 0, 0) == 0 and do { sleep 600 while 1 }
        """

    private static func nvidiaSMI(
        _ name: String, _ recovery: String, state: String? = nil,
        _ fault: @escaping @Sendable (FakeNvidiaSMI) throws -> Void
    ) -> Fault {
        Fault(.gpu, name) {
            try await unknown(
                recovery,
                fault: { _, program in
                    try fault(program)
                    guard let state else { return }
                    try waitUntil("it is in state \(state)") {
                        program.process("hanging").flatMap { Vitals.field("State", of: $0) }?.hasPrefix(state) == true
                    }
                })
        }
    }

    /// - Parameter user: the worker's; nil for ours.
    private static func unknown(
        _ recovery: String, user: OtherUser? = nil,
        fault: @escaping @Sendable (FaultRig, FakeNvidiaSMI) throws -> Void,
        whileItLasts: @escaping @Sendable (FaultRig) throws -> Void = { _ in },
        over: @escaping @Sendable (FaultRig) throws -> Void = { _ in }
    ) async throws -> Outcome {
        let program = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
        try user?.own(program)
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                settings: ["PATH": program.environment["PATH"]], workerCommand: user?.command ?? [], central: central,
                engine: engine)
        }
        // Many make it but once: one thing left behind by each has to show.
        return try await rig.outcome(again: 5) {
            try program.forget("hanging")
            let outcome = try refused(rig, recovery) {
                try fault(rig, program)
            } whileItLasts: {
                try whileItLasts(rig)
            }
            try program.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
            if !FileManager.default.fileExists(atPath: program.path) { try program.install() }
            try over(rig)
            try rig.waitUntilServed()
            return outcome
        }
    }

    /// A CPU machine until the driver's file is there.
    private static func notFound() async throws -> Outcome {
        let program = try FakeNvidiaSMI()
        try program.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
        let devices = try TemporaryDirectory()
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                settings: ["PATH": program.environment["PATH"], "PROVIDER_GPU_SOURCE": nil],
                workerCommand: MountNamespace.extendingDevices(in: devices.path), central: central, engine: engine)
        }
        return try await rig.outcome {
            let view = MountNamespace.entering(rig.deployment.worker)
            let outcome = try refused(
                rig, "with the first sample once nvidia-smi is found", examinedBehind: view
            ) {
                if FileManager.default.fileExists(atPath: program.path) { try program.remove() }
                try devices.write("", to: "view/nvidia0")
            } whileItLasts: {
                try rig.deployment.waitUntil("the sign is named") {
                    rig.logged("no GPU is found although /dev/nvidia0 is there: nvidia-smi: not found on PATH (") > 0
                }
            }
            try program.install()
            try rig.waitUntilServed()
            return outcome
        }
    }

    /// What requests meet while the GPU is unknown.
    private static func refused(
        _ rig: FaultRig, _ recovery: String, examinedBehind command: [String] = [], fault: () throws -> Void,
        whileItLasts: () throws -> Void = {}
    ) throws -> Outcome {
        let begun = rig.begun
        try fault()
        try rig.deployment.waitUntil("the GPU is unknown") {
            try rig.deployment.fetch("GET", "/busy").body.contains("gpu_unknown")
        }
        let seen = rig.crowd() + [try health(rig)]
        let hasReachedEngine = rig.begun > begun
        try whileItLasts()
        try rig.examine(behind: command)
        return Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: recovery)
    }

    private static func nvml(
        _ name: String, _ recovery: String, _ fault: @escaping @Sendable (FaultRig, FakeNVML) throws -> Void
    ) -> Fault {
        Fault(.gpu, name) { try await unknownToNVML(recovery, again: 2, fault: fault) }
    }

    /// On a machine without nvidia-smi. Each time in a row the next process is started after a longer pause.
    private static func unknownToNVML(
        _ recovery: String, again rounds: Int, fault: @escaping @Sendable (FaultRig, FakeNVML) throws -> Void,
        over: @escaping @Sendable () throws -> Void = {}
    ) async throws -> Outcome {
        let library = try FakeNVML("gpu0.utilization 0")
        let rig = try await FaultRig { central, engine in
            try await Deployment(nvml: library, central: central, engine: engine)
        }
        return try await rig.outcome(again: rounds) {
            let outcome = try refused(rig, recovery) { try fault(rig, library) }
            try library.set("gpu0.utilization 0")
            try over()
            try rig.waitUntilServed()
            return outcome
        }
    }

    /// The alternating words of both; nvidia-smi is asked for details with each report.
    private static func besideNvidiaSMI(
        _ responses: String, _ state: FakeGPU.State, _ recovery: String
    ) async throws -> Outcome {
        let uuid = "gpu0.uuid \(FakeNvidiaSMI.uuid())\n"
        let library = try FakeNVML(uuid)
        let rig = try await FaultRig { central, engine in
            try await Deployment(gpu: .utilization("0 %"), nvml: library, central: central, engine: engine)
        }
        return try await rig.outcome(again: 1) {
            let outcome = try refused(rig, recovery) {
                try rig.deployment.gpu?.set(state)
                try library.set(uuid + responses)
                let runs = rig.deployment.gpu?.runs ?? 0
                try rig.deployment.waitUntil("nvidia-smi has run since") {
                    _ = try rig.deployment.fetch("GET", "/health")
                    return (rig.deployment.gpu?.runs ?? 0) > runs + 2
                }
            }
            try library.set(uuid)
            try rig.deployment.gpu?.set(.utilization("0 %"))
            try rig.waitUntilServed()
            // NVML's process ends when a GPU has been in trouble for a while, and its next start is later than nvidia-smi's.
            let worker = rig.deployment.worker.pid
            try rig.deployment.waitUntil("NVML's process is back") {
                Vitals.children(of: worker).contains { child in
                    let command = FileManager.default.contents(atPath: "/proc/\(child)/cmdline") ?? Data()
                    return String(decoding: command, as: UTF8.self).contains("--nvml-probe")
                }
            }
            return outcome
        }
    }

    private static func takenOver() async throws -> Outcome {
        // The same GPU as nvidia-smi's.
        let uuid = "gpu0.uuid GPU-00000000-1111-2222-3333-444444444444\n"
        let library = try FakeNVML(uuid + "gpu0.utilization 0")
        let rig = try await FaultRig { central, engine in
            try await Deployment(gpu: .utilization("0 %"), nvml: library, central: central, engine: engine)
        }
        return try await rig.outcome(again: 2) {
            let silences = rig.logged("NVML has been silent")
            try library.set(uuid + "gpu0.utilization hang")
            try rig.waitUntilLogged("NVML has been silent", beyond: silences)
            // Until nvidia-smi has run, the GPU may be unknown.
            try rig.waitUntilServed()
            let seen = rig.crowd()
            try rig.examine()
            let found = rig.logged("GPUs are read through NVML")
            try library.set(uuid + "gpu0.utilization 0")
            try rig.waitUntilLogged("GPUs are read through NVML", beyond: found)
            return Outcome(seen, hasReachedEngine: true, recovery: "with the next start of NVML's process")
        }
    }

    /// The report is a 503 with the reason, to compare with the refusals of completions.
    private static func health(_ rig: FaultRig) throws -> Sighting {
        // One report is given for up to a second.
        try rig.deployment.waitUntil("the report is 503") {
            let health = try rig.deployment.fetch("GET", "/health")
            return health.status == 503 && health.body.contains(#""errors":["#)
        }
        return .refused(status: 503, code: "gpu_unknown")
    }
}
