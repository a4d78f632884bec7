/// Reads the GPUs by running `nvidia-smi -x -q`.
public struct NvidiaSMI: Sendable {
    private let program: String
    private let environment: [String: String]
    private let child: LimitedProcess
    private let directory: String

    public init(_ configuration: Configuration.GPU) {
        self.init(
            configuration, environment: Program.environment,
            limits: LimitedProcess.Limits(run: configuration.nvidiaSMITimeout))
    }

    /// - Parameters:
    ///   - environment: what our own is; the program is looked up on its PATH.
    ///   - limits: shorter ones let a test be quick.
    ///   - directory: where the program is looked for after PATH; tests have their own.
    init(
        _ configuration: Configuration.GPU, environment: [String: String], limits: LimitedProcess.Limits,
        directory: String = NVIDIADriver.wslDirectory
    ) {
        self.directory = directory
        program = configuration.nvidiaSMI
        self.environment = Program.forOthers(environment)
        child = LimitedProcess(limits: limits)
    }

    /// The longest that a run may take if its child can be killed.
    var limit: Duration { child.limits.run + child.limits.termination }

    /// Runs nvidia-smi once; never concurrently with itself.
    ///
    /// A complete document counts whatever the exit status. nvidia-smi exits with 14 for a mere warning, and crashes after
    /// printing on some WSL 2 machines. Never returns when the child cannot be killed.
    func read() throws(NvidiaSMIError) -> GPUSample {
        let path: String
        switch ProgramLookup.find(program, path: environment["PATH"], else: directory) {
        case .found(let found): path = found
        case .notRunnable(let place, let reason): throw .notStarted(program: place, reason: reason)
        case .missing(let reason): throw .missing(program: program, reason: reason)
        }
        let result: LimitedProcess.Result
        do throws(ChildProcess.NotStarted) {
            result = try child.run(path, arguments: ["-x", "-q"], environment: environment)
        } catch {
            throw .notStarted(program: path, reason: "\(error)")
        }
        return try sample(result)
    }

    /// Ends a run that is under way and lets no other begin; as `ChildProcess.stop`.
    func stop(waitingForStart limit: Duration = .zero) {
        child.stop(waitingForStart: limit)
    }

    private func sample(_ result: LimitedProcess.Result) throws(NvidiaSMIError) -> GPUSample {
        if result.isTooMuch { throw .tooMuchOutput(limit: child.limits.outputBytes) }
        let failure: GPUDocumentError
        do throws(GPUDocumentError) {
            return try GPUDocument.parse(result.output)
        } catch {
            failure = error.elseWords(ForeignText.excerpt(result.errorOutput))
        }
        if result.isTimedOut { throw .timedOut(limit: child.limits.run, words: failure.words) }
        throw .noSample(failure, result.ending)
    }
}

extension GPUDocumentError {
    /// What nvidia-smi said.
    var words: String {
        switch self {
        case .noDocument(let words), .broken(_, let words), .noGPU(let words): words
        }
    }

    /// The same for an output without a document. Errors belong on standard output, but also occur on standard error.
    fileprivate func elseWords(_ other: String) -> Self {
        guard words.isEmpty else { return self }
        return switch self {
        case .noDocument: .noDocument(words: other)
        case .broken(let reason, _): .broken(reason: reason, words: other)
        case .noGPU: .noGPU(words: other)
        }
    }
}

/// Why a run of nvidia-smi gave no sample; its description is what the log and /health say.
enum NvidiaSMIError: Error, Equatable, CustomStringConvertible {
    /// The program does not exist, or the driver that replaces it has no card.
    ///
    /// `sign`: what speaks for a GPU all the same; nil on a machine without one.
    case missing(program: String, reason: String, sign: GPUSign? = nil)
    /// It is there but cannot be started.
    case notStarted(program: String, reason: String)
    /// It took too long and was killed.
    case timedOut(limit: Duration, words: String)
    /// It took too long and survives SIGKILL, which a process does while it waits for a driver.
    case unkillable
    /// It printed more than any real nvidia-smi.
    case tooMuchOutput(limit: Int)
    /// It ended, but printed no sample.
    case noSample(GPUDocumentError, ChildProcess.Ending)

    var description: String {
        switch self {
        case .missing(let program, let reason, _): "\(program): \(reason)"
        case .notStarted(let program, let reason): "\(program) cannot be started: \(reason)"
        case .timedOut(let limit, let words):
            "nvidia-smi did not end within \(limit.inSeconds) s and was killed\(Self.tail(words))"
        case .unkillable: "nvidia-smi hangs and cannot be killed"
        case .tooMuchOutput(let limit): "nvidia-smi printed more than \(limit) bytes and was killed"
        case .noSample(.noDocument(let words), let ending):
            "nvidia-smi \(ending.description)\(words.isEmpty ? " and printed nothing" : Self.tail(words))"
        case .noSample(.broken(let reason, let words), let ending):
            "nvidia-smi \(ending.description), and its document \(reason)\(Self.tail(words))"
        case .noSample(.noGPU(let words), let ending):
            "nvidia-smi \(ending.description) and lists no GPU\(Self.tail(words))"
        }
    }

    private static func tail(_ words: String) -> String {
        words.isEmpty ? "" : ": \(words)"
    }
}
