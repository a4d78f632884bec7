/// Why a run of nvidia-smi gave no sample; its description is what the log and /health say.
enum NvidiaSMIError: Error, Equatable, CustomStringConvertible {
    /// There is no such program, or no card of the driver that is asked in its place.
    ///
    /// `sign`: what speaks for a GPU all the same; nil on a machine without one.
    case missing(program: String, reason: String, sign: GPUSign? = nil)
    /// It is there but cannot be started.
    case notStarted(program: String, reason: String)
    /// It took too long and was killed.
    case timedOut(limit: Duration, words: String)
    /// It took too long and survives SIGKILL, which a process does while it waits for a driver.
    case unkillable
    /// It printed more than any real one.
    case tooMuchOutput(limit: Int)
    /// It ended, but what it printed is no sample.
    case noSample(GPUDocumentError, LimitedProcess.Ending)

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
