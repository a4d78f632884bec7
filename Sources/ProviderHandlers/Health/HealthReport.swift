/// The report on this machine for the central system (`POST /api/provider/health`), which decodes strictly typed JSON: every
/// number is an integer, and unknown keys are ignored.
struct HealthReport: Encodable {
    let object = "list"
    let data: [Model]
    /// nil on a machine without a GPU.
    @Nullable var gpu: GPUReport?
    let ngrok: TunnelReport
    /// Left out where the configuration does not mention Cloudflare's tunnel.
    let cloudflare: TunnelReport?
    let providerType: String
    /// Why the report is not complete; left out where it is.
    let errors: [String]?

    enum CodingKeys: String, CodingKey {
        case object, data, gpu, ngrok, cloudflare, errors
        case providerType = "provider_type"
    }

    struct TunnelReport: Encodable {
        let url: String
    }
}

/// The GPUs in the report: details of the first selected GPU, the load as the busy rule sees it, and all selected GPUs.
struct GPUReport: Encodable {
    @Nullable var productName: String?
    @Nullable var driverVersion: String?
    @Nullable var cudaVersion: String?
    let gpuCount: Int
    @Nullable var uuid: String?
    /// Percent.
    @Nullable var utilization: Int?
    /// MiB, as are the other two.
    @Nullable var memoryTotal: Int?
    @Nullable var memoryUsed: Int?
    @Nullable var memoryFree: Int?
    let isBusy: Bool
    /// Each selected GPU with its own numbers. The central system ignores this key so far.
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

    /// One GPU. Every number is an integer, as everywhere in the report.
    struct Entry: Encodable {
        let index: Int
        @Nullable var uuid: String?
        @Nullable var productName: String?
        @Nullable var utilization: Int?
        @Nullable var memoryTotal: Int?
        @Nullable var memoryUsed: Int?
        @Nullable var memoryFree: Int?
        @Nullable var temperature: Int?
        @Nullable var power: Int?
        let migDevices: [MIGEntry]

        enum CodingKeys: String, CodingKey {
            case index, uuid, utilization, temperature, power
            case productName = "product_name"
            case memoryTotal = "memory_total"
            case memoryUsed = "memory_used"
            case memoryFree = "memory_free"
            case migDevices = "mig_devices"
        }

        init(_ gpu: GPU) {
            index = gpu.index
            uuid = gpu.uuid
            productName = gpu.productName
            utilization = gpu.utilization
            memoryTotal = gpu.memoryTotal
            memoryUsed = gpu.memoryUsed
            memoryFree = gpu.memoryFree
            temperature = gpu.temperature
            power = gpu.power
            migDevices = gpu.migDevices.map(MIGEntry.init)
        }
    }

    /// One instance of a GPU that is split.
    struct MIGEntry: Encodable {
        @Nullable var index: Int?
        @Nullable var uuid: String?
        @Nullable var gpuInstance: Int?
        @Nullable var computeInstance: Int?
        @Nullable var memoryTotal: Int?
        @Nullable var memoryUsed: Int?
        @Nullable var memoryFree: Int?

        enum CodingKeys: String, CodingKey {
            case index, uuid
            case gpuInstance = "gpu_instance_id"
            case computeInstance = "compute_instance_id"
            case memoryTotal = "memory_total"
            case memoryUsed = "memory_used"
            case memoryFree = "memory_free"
        }

        init(_ device: MIGDevice) {
            index = device.index
            uuid = device.uuid
            gpuInstance = device.gpuInstance
            computeInstance = device.computeInstance
            memoryTotal = device.memoryTotal
            memoryUsed = device.memoryUsed
            memoryFree = device.memoryFree
        }
    }
}
