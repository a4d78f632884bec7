public import Logging
public struct LoadedConfiguration: Sendable { public var configuration: Configuration; public var source = "x"; public var warnings: [String] = [] }
public struct ConfigurationError: Error, CustomStringConvertible { public var description: String; public static let exitStatus: Int32 = 78 }
extension Configuration {
    public static func load(path: String?, environment: [String: String]) throws(ConfigurationError) -> LoadedConfiguration {
        var c = Configuration()
        c.server.socket = environment["PROVIDER_SERVER_SOCKET"] ?? c.server.socket
        c.ollama.url = environment["PROVIDER_OLLAMA_URL"] ?? c.ollama.url
        c.provider.url = environment["PROVIDER_URL"] ?? c.provider.url
        c.provider.apiKey = Secret(environment["PROVIDER_API_KEY"] ?? "")
        return LoadedConfiguration(configuration: c)
    }
}
public struct GPU: Sendable, Equatable { var productName: String?; var uuid: String?; var utilization, memoryTotal, memoryUsed, memoryFree: Int? }
public struct GPUSample: Sendable, Equatable { var gpus: [GPU]; var driverVersion: String?; var cudaVersion: String? }
public enum GPUStatus: Sendable { case absent, known(GPUSample), unknown(reason: String, last: GPUSample?) }
public enum BusyRule {
    public static func verdict(_ s: GPUStatus, _ c: Configuration.GPU) -> BusyVerdict { .idle }
    static func utilization(_ s: GPUSample, _ c: Configuration.GPU) -> Int? { nil }
}
public struct NvidiaSMI: Sendable { public init(_ c: Configuration.GPU) {} }
public final class GPUSampler: Sendable {
    public init(reader: NvidiaSMI, configuration: Configuration.GPU, logger: Logger) {}
    public func start() {}
    public func stop() {}
    public func waitForFirstSample(timeout: Duration) {}
    public var status: GPUStatus { .absent }
}
