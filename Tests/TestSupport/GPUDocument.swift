extension FakeNvidiaSMI {
    /// What nvidia-smi -x -q prints, of one GPU and cut down to what is read.
    ///
    /// - Parameters:
    ///   - utilization: as printed, such as "20 %" or "N/A".
    ///   - elements: more elements of the GPU.
    public static func document(_ utilization: String, elements: String = "") -> String {
        document([(utilization, elements)])
    }

    /// A document of several GPUs, with UUIDs that end in 4, 5 and so on.
    public static func document(_ gpus: [(utilization: String, elements: String)]) -> String {
        """
        <?xml version="1.0" ?>
        <!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
        <nvidia_smi_log>
        <driver_version>550.54.14</driver_version><cuda_version>12.4</cuda_version>
        <attached_gpus>\(gpus.count)</attached_gpus>
        \(gpus.enumerated().map { gpu($1.utilization, uuid: uuid($0), elements: $1.elements) }.joined(separator: "\n"))
        </nvidia_smi_log>
        """
    }

    /// The UUID of a GPU of a document, by its position.
    public static func uuid(_ index: Int = 0) -> String { "GPU-00000000-1111-2222-3333-44444444444\(4 + index)" }

    private static func gpu(_ utilization: String, uuid: String, elements: String) -> String {
        """
        <gpu id="00000000:01:00.0"><product_name>NVIDIA Test 4000</product_name>
        <uuid>\(uuid)</uuid>\(elements)
        <fb_memory_usage><total>24564 MiB</total><reserved>452 MiB</reserved><used>4 MiB</used><free>24108 MiB</free>
        </fb_memory_usage><utilization><gpu_util>\(utilization)</gpu_util></utilization>
        <temperature><gpu_temp>40 C</gpu_temp></temperature>
        <gpu_power_readings><power_draw>26.84 W</power_draw></gpu_power_readings></gpu>
        """
    }
}
