import Foundation
import TestSupport

@testable import ProviderHandlers

extension FakeNvidiaSMI {
    /// A reader of it; without limits it never times out.
    func reader(
        _ configuration: Configuration.GPU = Configuration.GPU(), environment: [String: String]? = nil,
        limits: LimitedProcess.Limits = LimitedProcess.Limits(run: .seconds(600), termination: .seconds(600))
    ) -> NvidiaSMI {
        NvidiaSMI(configuration, environment: environment ?? self.environment, limits: limits)
    }
}

extension NvidiaSMI {
    /// The same off Swift's pool: it would block the pool's few threads.
    func read() async throws(NvidiaSMIError) -> GPUSample {
        let result: Result<GPUSample, NvidiaSMIError>?
        result = try? await onThread { [self] in
            Result { () throws(NvidiaSMIError) in try read() }
        }
        guard let result else { throw .unkillable }
        return try result.get()
    }
}

/// A descriptor that a child would inherit, with a number that shows in a list: no program opens that number of descriptors by itself.
func inheritableDescriptor() throws -> CInt {
    let file = open("/dev/null", O_RDONLY)
    defer { close(file) }
    let descriptor = fcntl(file, F_DUPFD, 400)
    guard descriptor >= 400 else { throw POSIXError(POSIXError.Code(rawValue: errno) ?? .EBADF) }
    return descriptor
}
