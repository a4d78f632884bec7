extension FakeNvidiaSMI {
    /// What nvidia-smi -x -q prints, of one GPU and cut down to what is read.
    ///
    /// - Parameter utilization: as printed, such as "20 %" or "N/A".
    public static func document(_ utilization: String) -> String {
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
