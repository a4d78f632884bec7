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
    ///   - directory: where the program is looked for after PATH; a test has one of its own.
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
    /// A complete document counts whatever the exit status: nvidia-smi exits with 14 for a mere warning, and dies of a
    /// segmentation fault after printing on some WSL 2 machines. Never returns when the child cannot be killed.
    func read() async throws(NvidiaSMIError) -> GPUSample {
        let path: String
        switch await ProgramLookup.find(program, path: environment["PATH"], else: directory) {
        case .found(let found): path = found
        case .notRunnable(let place, let reason): throw .notStarted(program: place, reason: reason)
        case .missing(let reason): throw .missing(program: program, reason: reason)
        }
        let result: LimitedProcess.Result
        do {
            result = try await child.run(path, arguments: ["-x", "-q"], environment: environment)
        } catch {
            throw .notStarted(program: path, reason: "\(error)")
        }
        return try sample(result)
    }

    /// Ends a run that is under way and lets no other begin; as `RunningChild.stop`.
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

    /// The same with other words when it has none: errors belong on standard output but are also seen on the other.
    fileprivate func elseWords(_ other: String) -> Self {
        guard words.isEmpty else { return self }
        return switch self {
        case .noDocument: .noDocument(words: other)
        case .broken(let reason, _): .broken(reason: reason, words: other)
        case .noGPU: .noGPU(words: other)
        }
    }
}
