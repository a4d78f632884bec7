import Glibc
import TestSupport

/// A machine's GPU as the worker sees it: a fake nvidia-smi on its PATH.
final class FakeGPU: Sendable {
    enum State {
        case utilization(String)
        /// A document of nvidia-smi's.
        case document(String)
        case fails(String)
        case hangs
    }

    private let program: FakeNvidiaSMI

    init(_ state: State) throws {
        program = try FakeNvidiaSMI()
        try set(state)
        try program.install()
    }

    /// For the worker, with the fake one first.
    var path: String? { program.environment["PATH"] }

    /// How often it has been started.
    var runs: Int { program.runs }

    /// The process that hangs.
    var process: pid_t? { program.process("process") }

    /// How often it has been started to hang.
    var hangs: Int { program.written("hangs")?.count ?? 0 }

    /// From the next run on.
    func set(_ state: State) throws {
        switch state {
        case .utilization(let text): try program.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document(text)))
        case .document(let text): try program.behave(FakeNvidiaSMI.printing(text))
        case .fails(let text): try program.behave("echo '\(text)'\nexit 9\n")
        case .hangs: try program.behave("echo $$ >$here/process\necho >>$here/hangs\nexec sleep 600\n")
        }
    }
}
