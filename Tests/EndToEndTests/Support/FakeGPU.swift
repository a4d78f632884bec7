import Glibc
import TestSupport

/// A machine's GPU as the worker sees it: a fake nvidia-smi on its PATH.
final class FakeGPU: Sendable {
    enum State {
        case utilization(String)
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
        case .utilization(let text): try program.behave(FakeNvidiaSMI.printing(Self.document(text)))
        case .fails(let text): try program.behave("echo '\(text)'\nexit 9\n")
        case .hangs: try program.behave("echo $$ >$here/process\necho >>$here/hangs\nexec sleep 600\n")
        }
    }

    private static func document(_ utilization: String) -> String {
        """
        <?xml version="1.0" ?>
        <!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
        <nvidia_smi_log>
        <driver_version>550.54.14</driver_version><cuda_version>12.4</cuda_version><attached_gpus>1</attached_gpus>
        <gpu id="00000000:01:00.0"><product_name>NVIDIA Test 4000</product_name>
        <uuid>GPU-00000000-1111-2222-3333-444444444444</uuid>
        <fb_memory_usage><total>24564 MiB</total><reserved>452 MiB</reserved><used>4 MiB</used><free>24108 MiB</free>
        </fb_memory_usage><utilization><gpu_util>\(utilization)</gpu_util></utilization>
        <temperature><gpu_temp>40 C</gpu_temp></temperature>
        <gpu_power_readings><power_draw>26.84 W</power_draw></gpu_power_readings></gpu>
        </nvidia_smi_log>
        """
    }
}
