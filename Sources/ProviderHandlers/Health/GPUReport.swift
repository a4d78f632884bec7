/// The GPUs in the report: the first selected one's details, with the load as the busy rule sees it, and all of them.
struct GPUReport: Encodable {
    let productName: String?
    let driverVersion: String?
    let cudaVersion: String?
    let gpuCount: Int
    let uuid: String?
    /// Percent.
    let utilization: Int?
    /// MiB, as are the other two.
    let memoryTotal: Int?
    let memoryUsed: Int?
    let memoryFree: Int?
    let isBusy: Bool
    /// Those selected, each with its own numbers. Central does not know this key yet and passes over it.
    let gpus: [Entry]

    enum CodingKeys: String, CodingKey {
        case uuid, utilization, gpus
        case productName = "product_name"
        case driverVersion = "driver_version"
        case cudaVersion = "cuda_version"
        case gpuCount = "gpu_count"
        case memoryTotal = "memory_total"
        case memoryUsed = "memory_used"
        case memoryFree = "memory_free"
        case isBusy = "is_busy"
    }

    init(_ sample: GPUSample, isBusy: Bool, configuration: Configuration.GPU) {
        let first = sample.gpus.first
        productName = first?.productName
        driverVersion = sample.driverVersion
        cudaVersion = sample.cudaVersion
        gpuCount = sample.gpus.count
        uuid = first?.uuid
        utilization = BusyRule.utilization(sample, configuration)
        memoryTotal = first?.memoryTotal
        memoryUsed = first?.memoryUsed
        memoryFree = first?.memoryFree
        self.isBusy = isBusy
        gpus = sample.gpus.map(Entry.init)
    }

    func encode(to encoder: any Encoder) throws {
        // Every key is always there: what is unknown is null.
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(productName, forKey: .productName)
        try container.encode(driverVersion, forKey: .driverVersion)
        try container.encode(cudaVersion, forKey: .cudaVersion)
        try container.encode(gpuCount, forKey: .gpuCount)
        try container.encode(uuid, forKey: .uuid)
        try container.encode(utilization, forKey: .utilization)
        try container.encode(memoryTotal, forKey: .memoryTotal)
        try container.encode(memoryUsed, forKey: .memoryUsed)
        try container.encode(memoryFree, forKey: .memoryFree)
        try container.encode(isBusy, forKey: .isBusy)
        try container.encode(gpus, forKey: .gpus)
    }
}

extension GPUReport {
    /// One GPU; what it does not tell is null. Every number is an integer, as everywhere in the report.
    struct Entry: Encodable {
        let gpu: GPU

        enum CodingKeys: String, CodingKey {
            case index, uuid, utilization, temperature, power
            case productName = "product_name"
            case memoryTotal = "memory_total"
            case memoryUsed = "memory_used"
            case memoryFree = "memory_free"
            case migDevices = "mig_devices"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(gpu.index, forKey: .index)
            try container.encode(gpu.uuid, forKey: .uuid)
            try container.encode(gpu.productName, forKey: .productName)
            try container.encode(gpu.utilization, forKey: .utilization)
            try container.encode(gpu.memoryTotal, forKey: .memoryTotal)
            try container.encode(gpu.memoryUsed, forKey: .memoryUsed)
            try container.encode(gpu.memoryFree, forKey: .memoryFree)
            try container.encode(gpu.temperature, forKey: .temperature)
            try container.encode(gpu.power, forKey: .power)
            try container.encode(gpu.migDevices.map(MIGEntry.init), forKey: .migDevices)
        }
    }

    /// One instance of a GPU that is split.
    struct MIGEntry: Encodable {
        let device: MIGDevice

        enum CodingKeys: String, CodingKey {
            case index, uuid
            case gpuInstance = "gpu_instance_id"
            case computeInstance = "compute_instance_id"
            case memoryTotal = "memory_total"
            case memoryUsed = "memory_used"
            case memoryFree = "memory_free"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(device.index, forKey: .index)
            try container.encode(device.uuid, forKey: .uuid)
            try container.encode(device.gpuInstance, forKey: .gpuInstance)
            try container.encode(device.computeInstance, forKey: .computeInstance)
            try container.encode(device.memoryTotal, forKey: .memoryTotal)
            try container.encode(device.memoryUsed, forKey: .memoryUsed)
            try container.encode(device.memoryFree, forKey: .memoryFree)
        }
    }
}
