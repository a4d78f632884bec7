import Testing

/// A text with a name to show for it.
struct Text: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let text: String

    init(_ name: String, _ text: String) {
        testDescription = name
        self.text = text
    }
}

/// Documents as nvidia-smi prints them, made up, with names and numbers of no real machine.
enum Documents {
    /// One `<gpu>` element, with the neighbouring elements that have misled other readers.
    static func gpu(
        name: String = "NVIDIA Example 100", uuid: String = "GPU-00000000-0000-0000-0000-000000000001",
        utilization: String = "7 %", total: String = "24564 MiB", used: String = "4 MiB", free: String = "24108 MiB",
        mig: String = migOff, power: String = powerDraw, processes: String = "<processes>\n\t\t</processes>"
    ) -> String {
        """
        \t<gpu id="00000000:01:00.0">
        \t\t<product_name>\(name)</product_name>
        \t\t<display_mode>Requested functionality has been deprecated</display_mode>
        \t\t\(mig)
        \t\t<uuid>\(uuid)</uuid>
        \t\t<minor_number>N/A</minor_number>
        \t\t<fb_memory_usage>
        \t\t\t<total>\(total)</total>
        \t\t\t<reserved>452 MiB</reserved>
        \t\t\t<used>\(used)</used>
        \t\t\t<free>\(free)</free>
        \t\t</fb_memory_usage>
        \t\t<bar1_memory_usage>
        \t\t\t<total>256 MiB</total>
        \t\t\t<used>1 MiB</used>
        \t\t\t<free>255 MiB</free>
        \t\t</bar1_memory_usage>
        \t\t<utilization>
        \t\t\t<gpu_util>\(utilization)</gpu_util>
        \t\t\t<memory_util>55 %</memory_util>
        \t\t</utilization>
        \t\t<temperature>
        \t\t\t<gpu_temp>40 C</gpu_temp>
        \t\t\t<gpu_temp_tlimit>43 C</gpu_temp_tlimit>
        \t\t\t<memory_temp>51 C</memory_temp>
        \t\t</temperature>
        \t\t\(power)
        \t\t<module_power_readings>
        \t\t\t<power_draw>612.00 W</power_draw>
        \t\t\t<instant_power_draw>611.00 W</instant_power_draw>
        \t\t</module_power_readings>
        \t\t\(processes)
        \t\t<accounted_processes>
        \t\t\t<accounted_process_info><gpu_util>99 %</gpu_util></accounted_process_info>
        \t\t</accounted_processes>
        \t</gpu>
        """
    }

    static let migOff =
        "<mig_mode><current_mig>Disabled</current_mig></mig_mode>\n\t\t<mig_devices>\n\t\t\tNone\n\t\t</mig_devices>"

    /// As drivers from 535 on print it.
    static let powerDraw = """
        <gpu_power_readings>
        <power_draw>26.84 W</power_draw><current_power_limit>450.00 W</current_power_limit>
        </gpu_power_readings>
        """

    /// A GPU split in two, each part with a memory element ahead of the GPU's.
    static let migOn = """
        <mig_mode><current_mig>Enabled</current_mig><pending_mig>Enabled</pending_mig></mig_mode>
        <mig_devices>
            <mig_device>
                <index>0</index>
                <gpu_instance_id>3</gpu_instance_id>
                <compute_instance_id>0</compute_instance_id>
                <device_attributes><shared><copy_engine_count>1</copy_engine_count></shared></device_attributes>
                <fb_memory_usage><total>20096 MiB</total><used>19 MiB</used><free>20076 MiB</free></fb_memory_usage>
            </mig_device>
            <mig_device>
                <index>1</index>
                <uuid>MIG-00000000-0000-0000-0000-00000000000b</uuid>
                <gpu_instance_id>N/A</gpu_instance_id>
                <bar1_memory_usage><total>32767 MiB</total><used>1 MiB</used></bar1_memory_usage>
                <fb_memory_usage><total>20097 MiB</total><used>18 MiB</used><free>20077 MiB</free></fb_memory_usage>
            </mig_device>
        </mig_devices>
        """

    static let declaration = "<?xml version=\"1.0\" ?>\n"
    static let doctype = "<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v12.dtd\">\n"

    /// A DOCTYPE with the whole DTD in it, as `--dtd` prints.
    static let internalSubset = """
        <!DOCTYPE nvidia_smi_log [
        <!-- nvsmi_device_v7.dtd -->
        <!ELEMENT nvidia_smi_log (timestamp, driver_version, attached_gpus, error_string?, gpu*)>
        <!ELEMENT gpu (product_name)>
        <!ATTLIST gpu id CDATA #REQUIRED>
        ]>

        """

    /// The root element around `gpus`.
    static func log(
        _ gpus: [String] = [gpu()], driver: String = "<driver_version>560.35.03</driver_version>",
        cuda: String = "<cuda_version>12.6</cuda_version>", attached: Int? = nil
    ) -> String {
        """
        <nvidia_smi_log>
        \t<timestamp>Fri Aug  4 10:00:00 2023</timestamp>
        \t\(driver)
        \t\(cuda)
        \t<attached_gpus>\(attached ?? gpus.count)</attached_gpus>
        \(gpus.joined(separator: "\n"))
        </nvidia_smi_log>
        """
    }

    static func document(_ gpus: [String] = [gpu()]) -> String {
        declaration + doctype + log(gpus) + "\n"
    }

    /// Two GPUs with the utilizations given.
    static func twoGPUs(_ first: String = "0 %", _ second: String = "0 %") -> String {
        document([
            gpu(name: "NVIDIA Example A", uuid: "GPU-aaaa", utilization: first),
            gpu(name: "NVIDIA Example B", uuid: "GPU-bbbb", utilization: second),
        ])
    }
}
