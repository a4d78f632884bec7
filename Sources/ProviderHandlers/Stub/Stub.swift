public import Logging
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
