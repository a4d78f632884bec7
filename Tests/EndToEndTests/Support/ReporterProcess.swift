import TestSupport

extension Deployment {
    /// Starts the built reporter.
    ///
    /// - Parameters:
    ///   - command: runs the reporter, whose command line follows; it has to become the reporter.
    ///   - central: nil where `settings` name it.
    ///   - settings: environment besides what connects the parts; it overrides that.
    static func reporter(
        behind command: [String] = [], _ arguments: [String] = [], engine: ScriptedServer,
        central: ScriptedServer? = nil, settings: [String: String] = [:]
    ) throws -> ChildProcess {
        let environment = environment(engine: engine, central: central ?? engine, gpu: nil, path: settings["PATH"])
        return try .reporter(
            behind: command, arguments, environment: environment.merging(settings) { $1 }, logsToJournal: true)
    }
}
