/// What central is told of this machine, in its own shape: central decodes strictly typed JSON, every number an
/// integer, and ignores keys it does not know (`POST /api/provider/health`).
struct HealthReport: Encodable {
    let object = "list"
    let data: [Model]
    let gpu: GPUReport?
    let ngrok: NgrokReport
    let providerType: String
    /// What kept the report from being complete; nil, and left out, when nothing did.
    let errors: [String]?

    struct NgrokReport: Encodable {
        let url: String
    }

    enum CodingKeys: String, CodingKey {
        case object, data, gpu, ngrok, errors
        case providerType = "provider_type"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(object, forKey: .object)
        try container.encode(data, forKey: .data)
        // null, not left out, on a machine without a GPU.
        try container.encode(gpu, forKey: .gpu)
        try container.encode(ngrok, forKey: .ngrok)
        try container.encode(providerType, forKey: .providerType)
        try container.encodeIfPresent(errors, forKey: .errors)
    }
}

/// The GPUs in the report: the first selected one's details, with the load as the busy rule sees it.
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

    enum CodingKeys: String, CodingKey {
        case uuid, utilization
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
    }
}
