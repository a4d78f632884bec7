import Foundation
import TestSupport

@testable import ProviderHandlers

extension FakeNvidiaSMI {
    /// A reader of it; without limits of its own it would never time out.
    func reader(
        _ configuration: Configuration.GPU = Configuration.GPU(), environment: [String: String]? = nil,
        limits: LimitedProcess.Limits = LimitedProcess.Limits(run: .seconds(600), termination: .seconds(600))
    ) -> NvidiaSMI {
        NvidiaSMI(configuration, environment: environment ?? self.environment, limits: limits)
    }
}

/// Whether a process is there and not only waits for its parent to take notice of its end.
func isAlive(_ process: pid_t) -> Bool {
    guard let status = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return false }
    // "number (name) state …"; the name may hold anything.
    return String(decoding: status, as: UTF8.self).components(separatedBy: ") ").last?.first != "Z"
}
