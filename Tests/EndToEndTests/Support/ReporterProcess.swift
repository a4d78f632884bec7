import Foundation
import TestSupport

extension Deployment {
    /// Starts the built reporter by a command that has to become it.
    ///
    /// - Parameter settings: as `Deployment` takes them; they have to name central.
    static func reporter(
        behind command: [String], _ arguments: [String] = [], engine: ScriptedServer, settings: [String: String]
    ) throws -> ChildProcess {
        var environment = environment(engine: engine, central: engine, gpu: nil).merging(settings) { $1 }
        // Only the reporter's own PATH is without programs.
        let path = "PATH=" + (environment["PATH"] ?? "")
        environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        let line = command + ["env", path, try BuiltProduct.path("provider-reporter")] + arguments
        return try ChildProcess(line[0], Array(line.dropFirst()), environment: environment)
    }
}
