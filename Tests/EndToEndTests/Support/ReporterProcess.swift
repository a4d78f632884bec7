import Foundation
import TestSupport

extension Deployment {
    /// Starts the built reporter.
    ///
    /// - Parameters:
    ///   - command: what is to run it, with its command line behind it; it has to become the reporter.
    ///   - central: nil where `settings` name it.
    ///   - settings: environment besides what connects the parts; it overrides that.
    static func reporter(
        behind command: [String] = [], _ arguments: [String] = [], engine: ScriptedServer,
        central: ScriptedServer? = nil, settings: [String: String] = [:]
    ) throws -> ChildProcess {
        var environment = environment(engine: engine, central: central ?? engine, gpu: nil, path: settings["PATH"])
            .merging(settings) { $1 }
        let program = try BuiltProduct.path("provider-reporter")
        guard !command.isEmpty else {
            return try ChildProcess(program, arguments, environment: environment, logsToJournal: true)
        }
        // Only the reporter's own PATH is without programs.
        let path = "PATH=" + (environment["PATH"] ?? "")
        environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        let line = command + ["env", path, program] + arguments
        return try ChildProcess(line[0], Array(line.dropFirst()), environment: environment, logsToJournal: true)
    }
}
