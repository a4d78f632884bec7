import Foundation
import TestSupport

/// A fake `nvidia-smi`: a script that does what a file beside it says.
final class FakeGPU: Sendable {
    enum State {
        case utilization(String)
        case fails(String)
        case hangs
    }

    /// To be put on PATH.
    let binaries: String
    private let directory: TemporaryDirectory

    init(_ state: State) throws {
        directory = try TemporaryDirectory()
        binaries = directory.path + "/bin"
        try FileManager.default.createDirectory(atPath: binaries, withIntermediateDirectories: true)
        try set(state)
        try directory.write(
            "#!/bin/sh\necho run >>\(directory.path)/runs\n. \(directory.path)/state\n", to: "bin/nvidia-smi",
            mode: 0o755)
    }

    /// From the next run on.
    func set(_ state: State) throws {
        switch state {
        case .utilization(let text):
            try directory.write(Self.document(text), to: "document.xml")
            try directory.write("exec cat \(directory.path)/document.xml\n", to: "state")
        case .fails(let text):
            try directory.write("echo '\(text)'\nexit 9\n", to: "state")
        case .hangs:
            try directory.write("echo hang >>\(directory.path)/hangs\nexec sleep 600\n", to: "state")
        }
    }

    /// How often it has been started.
    var runs: Int { lines(of: "runs") }

    /// How often it has been started to hang.
    var hangs: Int { lines(of: "hangs") }

    private func lines(of name: String) -> Int {
        (FileManager.default.contents(atPath: directory.path + "/" + name) ?? Data()).count { $0 == 0x0A }
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
        </fb_memory_usage><utilization><gpu_util>\(utilization)</gpu_util></utilization></gpu>
        </nvidia_smi_log>
        """
    }
}
