import Foundation

extension ChildProcess {
    /// Starts the built worker.
    ///
    /// - Parameters:
    ///   - command: runs the worker, whose command line follows; it has to become the worker.
    ///   - environment: the worker's whole environment.
    ///   - standardInput: the listening socket, as systemd hands it over; nil for none.
    ///   - logsToJournal: whether log lines have their priority.
    public static func worker(
        behind command: [String] = [], _ arguments: [String] = [], environment: [String: String],
        standardInput: CInt? = nil, logsToJournal: Bool = false
    ) throws -> ChildProcess {
        try ours("provider-fcgi", behind: command, arguments, environment, standardInput, logsToJournal)
    }

    /// Starts the built reporter; see `worker`.
    public static func reporter(
        behind command: [String] = [], _ arguments: [String] = [], environment: [String: String],
        logsToJournal: Bool = false
    ) throws -> ChildProcess {
        try ours("provider-reporter", behind: command, arguments, environment, nil, logsToJournal)
    }

    /// Only the program's own PATH may lack programs: `command` is found on ours.
    private static func ours(
        _ product: String, behind command: [String], _ arguments: [String], _ environment: [String: String],
        _ standardInput: CInt?, _ logsToJournal: Bool
    ) throws -> ChildProcess {
        var line = [try BuiltProduct.path(product)] + arguments
        // Workers of different tests share nothing, unless a test has them share.
        var environment = ["PROVIDER_SERVER_SCOREBOARD": ""].merging(environment) { $1 }
        if !command.isEmpty {
            line = command + ["env", "PATH=" + (environment["PATH"] ?? "")] + line
            environment["PATH"] = ProcessInfo.processInfo.environment["PATH"]
        }
        return try ChildProcess(
            line[0], Array(line.dropFirst()), environment: environment, standardInput: standardInput,
            logsToJournal: logsToJournal)
    }

    /// Waits until the worker says that it listens.
    public func waitUntilReady() async throws {
        try await eventually("the worker is ready") { try isReady }
    }

    /// The same for code that blocks its own thread.
    public func blockUntilReady() throws {
        try waitUntil("the worker is ready") { try isReady }
    }

    private var isReady: Bool {
        get throws {
            if let ended { throw NeverHappened(description: "the worker ended (\(ended)):\n\(standardError)") }
            return standardError.contains("ready: listening on")
        }
    }
}

/// A PATH without nvidia-smi, also on a machine that has one.
public let noPrograms = "/nonexistent"

/// A PATH with an nvidia-smi that shows one idle GPU.
public let idleGPU = Repository.root + "/Tests/Fakes/idle"
