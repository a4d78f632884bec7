/// What central is told of this machine, in its own shape: central decodes strictly typed JSON, every number an
/// integer, and ignores keys it does not know (`POST /api/provider/health`).
struct HealthReport: Encodable {
    let object = "list"
    let data: [Model]
    let gpu: GPUReport?
    let ngrok: TunnelReport
    /// Left out where the configuration does not mention Cloudflare's tunnel.
    let cloudflare: TunnelReport?
    let providerType: String
    /// What kept the report from being complete; nil, and left out, when nothing did.
    let errors: [String]?

    struct TunnelReport: Encodable {
        let url: String
    }

    enum CodingKeys: String, CodingKey {
        case object, data, gpu, ngrok, cloudflare, errors
        case providerType = "provider_type"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(object, forKey: .object)
        try container.encode(data, forKey: .data)
        // null, not left out, on a machine without a GPU.
        try container.encode(gpu, forKey: .gpu)
        try container.encode(ngrok, forKey: .ngrok)
        try container.encodeIfPresent(cloudflare, forKey: .cloudflare)
        try container.encode(providerType, forKey: .providerType)
        try container.encodeIfPresent(errors, forKey: .errors)
    }
}
