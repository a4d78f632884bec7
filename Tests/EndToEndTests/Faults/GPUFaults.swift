import Foundation
import TestSupport

extension Fault {
    /// What nvidia-smi can do to us. Four requests that reach the worker meanwhile; none of them waits for it.
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
        Fault(.gpu, "nvidia-smi survives even SIGKILL (in a frozen control group)", obstacle: Freezer.obstacle) {
            let freezer = try Freezer()
            return try await unknown(
                "with the first sample after it has gone",
                fault: { program in
                    try program.behave("echo $$ >$here/hanging\nexec sleep 600\n")
                    try waitUntil("it hangs") { program.process("hanging") != nil }
                    try freezer.freeze(program.process("hanging") ?? 0)
                }, whileItLasts: { try $0.waitUntilLogged("cannot be killed") }, over: { try freezer.thaw() })
        },
        nvidiaSMI("nvidia-smi prints garbage", "with the next sample") {
            try $0.behave("head -c 5000 /dev/urandom\n")
        },
        nvidiaSMI("nvidia-smi prints half of its XML", "with the next sample") {
            try $0.behave("echo '<?xml version=\"1.0\" ?><nvidia_smi_log><gpu id=\"0\"><product_name>'\n")
        },
        nvidiaSMI("nvidia-smi vanishes", "with the next sample") { try $0.remove() },
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
                fault: { program in
                    try fault(program)
                    guard let state else { return }
                    try waitUntil("it is in state \(state)") {
                        program.process("hanging").flatMap { Vitals.field("State", of: $0) }?.hasPrefix(state) == true
                    }
                })
        }
    }

    private static func unknown(
        _ recovery: String, fault: @escaping @Sendable (FakeNvidiaSMI) throws -> Void,
        whileItLasts: @escaping @Sendable (FaultRig) throws -> Void = { _ in },
        over: @escaping @Sendable () throws -> Void = {}
    ) async throws -> Outcome {
        let program = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                settings: ["PATH": program.environment["PATH"]], central: central, engine: engine)
        }
        let outcome = try await onThread {
            let begun = rig.begun
            try fault(program)
            try rig.deployment.waitUntil("the GPU is unknown") {
                try rig.deployment.fetch("GET", "/busy").body.contains("gpu_unknown")
            }
            let seen = rig.crowd() + [try health(rig)]
            try whileItLasts(rig)
            let outcome = Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: recovery)
            try program.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
            if !FileManager.default.fileExists(atPath: program.path) { try program.install() }
            try over()
            try rig.waitUntilServed()
            return outcome
        }
        try await rig.settle()
        return outcome
    }

    /// The report is 503 and says so; to compare with what completions are told.
    private static func health(_ rig: FaultRig) throws -> Sighting {
        // One report is given for up to a second.
        try rig.deployment.waitUntil("the report is 503") {
            let health = try rig.deployment.fetch("GET", "/health")
            return health.status == 503 && health.body.contains(#""errors":["#)
        }
        return .refused(status: 503, code: "gpu_unknown")
    }
}

/// A control group whose processes can be stopped so that not even SIGKILL ends them (the freezer of version 1).
private final class Freezer: Sendable {
    private static let root = "/sys/fs/cgroup/freezer"
    private let path: String

    static var obstacle: String? {
        FileManager.default.isWritableFile(atPath: root) && FileManager.default.fileExists(atPath: root + "/tasks")
            ? nil : "needs root and the freezer of control groups, version 1"
    }

    init() throws {
        path = Self.root + "/provider-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // Frozen processes would be left for good.
        try? thaw()
        rmdir(path)
    }

    func freeze(_ pid: pid_t) throws {
        try write("\(pid)", "tasks")
        try write("FROZEN", "freezer.state")
        try waitUntil("it is frozen") {
            try String(contentsOfFile: path + "/freezer.state", encoding: .utf8) == "FROZEN\n"
        }
    }

    func thaw() throws {
        try write("THAWED", "freezer.state")
    }

    private func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }
}
