import Testing

@testable import ProviderHandlers

private func parse(_ text: String) throws -> GPUSample {
    try GPUDocument.parse(Array(text.utf8))
}

private func gpu(_ element: String) throws -> GPU {
    try #require(try parse(Documents.document([element])).gpus.first)
}

@Suite("GPU document")
struct GPUDocumentTests {
    private let expected = GPUSample(
        gpus: [
            GPU(
                productName: "NVIDIA Example 100", uuid: "GPU-00000000-0000-0000-0000-000000000001", utilization: 7,
                memoryTotal: 24564, memoryUsed: 4, memoryFree: 24108, temperature: 40, power: 26)
        ],
        driverVersion: "560.35.03", cudaVersion: "12.6", attachedGPUs: 1)

    @Test("an ordinary one")
    func ordinary() throws {
        #expect(try parse(Documents.document()) == expected)
    }

    @Test(
        "ways to print the same",
        arguments: [
            Text("no declaration, no DOCTYPE", Documents.log()),
            Text("no DOCTYPE", Documents.declaration + Documents.log()),
            Text(
                "declaration with an encoding",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" + Documents.doctype + Documents.log()),
            Text(
                "comment ahead of the root",
                Documents.declaration + Documents.doctype + "<!-- <nvidia_smi_log> & what > follows -->"
                    + Documents.log()),
            Text("whole DTD inside", Documents.declaration + Documents.internalSubset + Documents.log()),
            Text("CRLF", Documents.document().replacing("\n", with: "\r\n")),
            Text("spaces", Documents.document().replacing("\t", with: "            ")),
            Text("blank lines ahead", "\n  \n" + Documents.document()),
            Text("warning ahead", "WARNING: infoROM is corrupted at gpu 0000:00:1E.0\n" + Documents.document()),
            Text("warning behind", Documents.document() + "\nWARNING: infoROM is corrupted & <unclosed>"),
            Text("padding", Documents.document().replacing(" %<", with: " % <")),
            Text(
                "comment in a value", Documents.document().replacing("<gpu_util>7", with: "<gpu_util> <!-- idle --> 07")
            ),
        ])
    func variants(_ text: Text) throws {
        #expect(try parse(text.text) == expected)
    }

    @Test(
        "utilization",
        arguments: [
            ("0 %", 0), ("04 %", 4), ("10.3 %", 10), ("100 %", 100), (" 40 % ", 40), ("20%", 20), ("20.999 %", 20),
            ("N/A", nil), ("", nil), ("ERR!", nil), ("[Unknown Error]", nil), ("-5 %", nil), ("+5 %", nil),
            ("101 %", nil), ("99999999999999999999999999 %", nil), ("5", nil), ("5 MiB", nil), ("% 5", nil),
            ("٧ %", nil), (".5 %", nil), ("1e1 %", nil), ("0x10 %", nil),
        ] as [(String, Int?)])
    func utilization(_ printed: String, _ value: Int?) throws {
        #expect(try gpu(Documents.gpu(utilization: printed)).utilization == value)
    }

    @Test(
        "memory",
        arguments: [
            ("0 MiB", 0), ("189471 MiB", 189_471), ("N/A", nil), ("Not Supported", nil), ("-1 MiB", nil),
            ("12 GiB", nil), ("12 %", nil), ("9223372036854775808 MiB", nil), ("9223372036854775807 MiB", nil),
        ] as [(String, Int?)])
    func memory(_ printed: String, _ value: Int?) throws {
        #expect(try gpu(Documents.gpu(total: printed)).memoryTotal == value)
        #expect(try gpu(Documents.gpu(used: printed)).memoryUsed == value)
        #expect(try gpu(Documents.gpu(free: printed)).memoryFree == value)
    }

    @Test("a GPU split into instances: the memory is the GPU's own, not an instance's")
    func mig() throws {
        let gpu = try gpu(Documents.gpu(utilization: "N/A", used: "38 MiB", mig: Documents.migOn))
        #expect(gpu.isMIG)
        #expect(gpu.utilization == nil)
        #expect(gpu.memoryTotal == 24564)
        #expect(gpu.memoryUsed == 38)
        #expect(
            gpu.migDevices == [
                MIGDevice(
                    index: 0, gpuInstance: 3, computeInstance: 0, memoryTotal: 20096, memoryUsed: 19, memoryFree: 20076),
                MIGDevice(
                    index: 1, uuid: "MIG-00000000-0000-0000-0000-00000000000b", memoryTotal: 20097, memoryUsed: 18,
                    memoryFree: 20077),
            ])
    }

    @Test("MIG devices belong to the GPU they are listed in")
    func migDevicesOfSeveral() throws {
        let gpus = [Documents.migOn, Documents.migOff, Documents.migOn].map { Documents.gpu(mig: $0) }
        #expect(try parse(Documents.document(gpus)).gpus.map(\.migDevices.count) == [2, 0, 2])
        #expect(
            try parse(
                "<nvidia_smi_log><mig_devices><mig_device><index>0</index></mig_device></mig_devices><gpu/></nvidia_smi_log>"
            ).gpus == [GPU()])
    }

    @Test(
        "power, by any of its names",
        arguments: [
            ("<power_readings><power_draw>48.05 W</power_draw></power_readings>", 48),
            ("<gpu_power_readings><power_draw>9 W</power_draw></gpu_power_readings>", 9),
            (
                "<gpu_power_readings><average_power_draw>139.62 W</average_power_draw>"
                    + "<instant_power_draw>142.33 W</instant_power_draw></gpu_power_readings>", 139
            ),
            (
                "<gpu_power_readings><average_power_draw>N/A</average_power_draw>"
                    + "<instant_power_draw>9.23 W</instant_power_draw></gpu_power_readings>", 9
            ),
            ("<power_readings><power_draw>N/A</power_draw></power_readings>", nil),
            ("<power_readings><power_draw>[Unknown Error]</power_draw></power_readings>", nil),
            ("", nil),
        ] as [(String, Int?)])
    func power(_ element: String, _ value: Int?) throws {
        #expect(try gpu(Documents.gpu(power: element)).power == value)
    }

    @Test(
        "a GPU in trouble is told from a GPU without a counter",
        arguments: [
            ("GPU is lost", "GPU is lost"), ("[GPU is lost]", "GPU is lost"),
            ("GPU requires reset", "GPU requires reset"), ("ERR!", "ERR!"), ("[Unknown Error]", "Unknown Error"),
            ("101 %", "101 %"), ("N/A", nil), ("[N/A]", nil), ("Not Supported", nil), ("", nil), ("7 %", nil),
            (String(repeating: " ", count: 2000) + "ERR!", "ERR!"), (String(repeating: "\n", count: 2000), nil),
        ] as [(String, String?)])
    func fault(_ printed: String, _ words: String?) throws {
        let gpu = try gpu(Documents.gpu(utilization: printed))
        #expect(gpu.fault == words.map { "gpu_util: \($0)" })
        if words != nil { #expect(gpu.utilization == nil) }
    }

    @Test("replacements of other values are no trouble", arguments: ["ERR!", "[Unknown Error]", "-1"])
    func otherValues(_ printed: String) throws {
        let power = "<gpu_power_readings><power_draw>\(printed)</power_draw></gpu_power_readings>"
        let gpu = try gpu(
            Documents.gpu(total: printed, used: printed, free: printed, power: power).replacing(
                "<gpu_temp>40 C", with: "<gpu_temp>\(printed)"))
        #expect(gpu.fault == nil && gpu.utilization == 7)
        #expect([gpu.memoryTotal, gpu.memoryUsed, gpu.memoryFree, gpu.power, gpu.temperature].allSatisfy { $0 == nil })
    }

    @Test(
        "a GPU that needs a reset is in trouble",
        arguments: [
            ("<gpu_recovery_action>Reset</gpu_recovery_action>", "gpu_recovery_action: Reset"),
            ("<gpu_recovery_action>Drain and Reset</gpu_recovery_action>", "gpu_recovery_action: Drain and Reset"),
            ("<gpu_recovery_action>[Unknown Error]</gpu_recovery_action>", "gpu_recovery_action: Unknown Error"),
            ("<gpu_recovery_action> None </gpu_recovery_action>", nil), ("<gpu_recovery_action/>", nil),
            ("<gpu_recovery_action>N/A</gpu_recovery_action>", nil),
            ("<gpu_reset_status><reset_required>Yes</reset_required></gpu_reset_status>", "reset_required: Yes"),
            (
                "<gpu_reset_status><reset_required>No</reset_required>"
                    + "<drain_and_reset_recommended>Yes</drain_and_reset_recommended></gpu_reset_status>",
                "drain_and_reset_recommended: Yes"
            ),
            (
                "<gpu_reset_status><reset_required>Requested functionality has been deprecated</reset_required>"
                    + "<drain_and_reset_recommended>[Not Supported]</drain_and_reset_recommended></gpu_reset_status>",
                nil
            ),
            ("<gpu_reset_status><reset_required>ERR!</reset_required></gpu_reset_status>", "reset_required: ERR!"),
            // Not the GPU's own elements.
            (
                "<mig_devices><mig_device><gpu_recovery_action>Reset</gpu_recovery_action></mig_device></mig_devices>",
                nil
            ),
            ("<other><gpu_recovery_action>Reset</gpu_recovery_action></other>", nil),
            ("<reset_required>Yes</reset_required>", nil),
        ] as [(String, String?)])
    func reset(_ element: String, _ fault: String?) throws {
        let gpu = try gpu(Documents.gpu(utilization: "0 %", processes: element))
        #expect(gpu.fault == fault)
        #expect(gpu.utilization == 0)
    }

    @Test("all troubles of a GPU are told, and none of another GPU's")
    func troubles() throws {
        let element = "<gpu_recovery_action>Reset</gpu_recovery_action>"
        let gpus = try parse(
            Documents.document([
                Documents.gpu(uuid: "GPU-a"), Documents.gpu(uuid: "GPU-b", utilization: "ERR!", processes: element),
                Documents.gpu(uuid: "GPU-c"),
            ])
        ).gpus
        #expect(gpus.map(\.fault) == [nil, "gpu_util: ERR!; gpu_recovery_action: Reset", nil])
    }

    @Test("elements that are missing")
    func missing() throws {
        let sample = try parse("<nvidia_smi_log><gpu></gpu><gpu/></nvidia_smi_log>")
        #expect(sample == GPUSample(gpus: [GPU(), GPU(index: 1)]))
    }

    @Test(
        "no CUDA version",
        arguments: ["", "<cuda_version>Not Found</cuda_version>", "<cuda_version>N/A</cuda_version>"])
    func noCUDA(_ element: String) throws {
        #expect(try parse(Documents.log(cuda: element)).cudaVersion == nil)
    }

    @Test("GPUs stay in the document's order, and are counted by their elements")
    func order() throws {
        let gpus = ["GPU-c", "GPU-a", "GPU-b"].map { Documents.gpu(uuid: $0) }
        let sample = try parse(Documents.log(gpus, attached: 4))
        #expect(sample.gpus.map(\.uuid) == ["GPU-c", "GPU-a", "GPU-b"])
        #expect(sample.attachedGPUs == 4)
    }

    @Test(
        "processes with any text as their names",
        arguments: [
            "<processes>N/A</processes>",
            "<compute_processes></compute_processes>",
            "<processes><process_info><process_name></process_name></process_info></processes>",
            "<processes><process_info><process_name>serve --a=<b> && c</process_name></process_info></processes>",
            "<processes><process_info><process_name>\u{1}\u{7F}</process_name><type>C+G</type></process_info></processes>",
        ])
    func processes(_ element: String) throws {
        #expect(try gpu(Documents.gpu(processes: element)).utilization == 7)
    }

    @Test("a process name that is not UTF-8")
    func processNameOfBytes() throws {
        let marker = Array("NAME".utf8)
        var bytes = Array(
            Documents.document([
                Documents.gpu(processes: "<processes><process_name>NAME</process_name></processes>")
            ]).utf8)
        let start = try #require(bytes.indices.first { bytes[$0...].starts(with: marker) })
        bytes.replaceSubrange(start..<start + marker.count, with: [0xFF, 0xFE, 0x00, 0xC0])
        #expect(try GPUDocument.parse(bytes) == expected)
    }

    @Test("text between elements, and unknown elements at any depth")
    func mixed() throws {
        let text = Documents.document().replacing(
            "<bar1_memory_usage>",
            with: """
                <supported_clocks><supported_mem_clock>
                5001 MHz
                <supported_graphics_clock>2100 MHz</supported_graphics_clock></supported_mem_clock></supported_clocks>
                stray text &lt; &amp; <![CDATA[<gpu>]]><bar1_memory_usage>
                """)
        #expect(try parse(text) == expected)
    }
}
