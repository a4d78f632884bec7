import Glibc
import Subprocess
import Synchronization

/// Runs a program within limits, one child at a time.
///
/// The child gets /dev/null to read from, no descriptor of ours, no blocked signal (swift-subprocess sees to both) and
/// a session of its own, so that a signal reaches what it has started as well.
final class LimitedProcess: Sendable {
    struct Limits: Sendable {
        /// How long the child may run; then it gets SIGTERM.
        var run = Duration.seconds(5)
        /// How long it may survive that; then it gets SIGKILL.
        var termination = Duration.seconds(1)
        /// More standard output than that gets it SIGKILL; so does more standard error.
        var outputBytes = 16 * 1024 * 1024
        /// How much of standard error is kept.
        var errorBytes = 8 * 1024
    }

    /// Described as what follows "the program".
    enum Ending: Sendable, Equatable, CustomStringConvertible {
        case exited(CInt)
        case signaled(CInt)

        var description: String {
            switch self {
            case .exited(let code): "exited with \(code)"
            case .signaled(let signal): "was ended by signal \(signal)"
            }
        }
    }

    struct Result: Sendable {
        var output: [UInt8]
        var errorOutput: [UInt8]
        /// Either was over the limit, and the child killed for it.
        var isTooMuch: Bool
        /// It took too long, and was ended for it.
        var isTimedOut: Bool
        var ending: Ending
    }

    let limits: Limits
    private let child = RunningChild()

    init(limits: Limits) {
        self.limits = limits
    }

    /// Runs the program and returns when it has ended, which one that survives SIGKILL never does.
    ///
    /// A program that ends leaving a descendant with its output open is not waited for any longer. Cancelling the task
    /// ends the child early.
    ///
    /// - Throws: when it cannot be started, or must not be after `stop`.
    func run(_ path: String, arguments: [String], environment: [String: String]) async throws -> Result {
        guard child.prepare() else { throw CancellationError() }
        defer { child.end() }
        try DescriptorReserve.checkRoomForChild()
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: limits.termination)
        ]
        let result = try await Subprocess.run(
            .path(filePath(path)), arguments: Arguments(arguments), environment: Environment(exactly: environment),
            platformOptions: options, input: .none, output: .sequence, error: .sequence
        ) { execution in
            child.begin(execution.processIdentifier.value)
            defer { child.end() }
            return await watch(execution)
        }
        let watched = result.closureResult
        return Result(
            output: watched.output, errorOutput: watched.errorOutput, isTooMuch: watched.isTooMuch,
            isTimedOut: watched.isTimedOut, ending: Ending(result.terminationStatus))
    }

    /// As `RunningChild.stop`.
    func stop(waitingForStart limit: Duration = .zero) {
        child.stop(waitingForStart: limit)
    }

    private typealias Watched = (output: [UInt8], errorOutput: [UInt8], isTooMuch: Bool, isTimedOut: Bool)

    private func watch(_ execution: Execution<NoInput, SequenceOutput, SequenceOutput>) async -> Watched {
        let started = ContinuousClock.now
        async let output = collect(execution.standardOutput, keep: limits.outputBytes)
        async let errorOutput = collect(execution.standardError, keep: limits.errorBytes)
        // Ends with the child. Signal 0 does nothing: it stands for the time in which the child may end by itself.
        await execution.teardown(using: [
            .send(signal: Signal(rawValue: 0), allowedDurationToNextStep: limits.run),
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: limits.termination),
        ])
        let isTimedOut = ContinuousClock.now - started >= limits.run
        // What the child had started may have ignored the SIGTERM that ended the child.
        if isTimedOut { child.kill() }
        let (bytes, isTooMuch) = await output
        let (errorBytes, isTooMuchError) = await errorOutput
        return (bytes, errorBytes, isTooMuch || isTooMuchError, isTimedOut)
    }

    /// Reads to the end, keeps the beginning, and kills the child when there is too much.
    private func collect(_ pipe: SubprocessOutputSequence, keep: Int) async -> (bytes: [UInt8], isTooMuch: Bool) {
        var bytes: [UInt8] = []
        var total = 0
        do {
            for try await buffer in pipe {
                total += buffer.count
                bytes.append(buffer.bytes.extracting(first: keep - bytes.count))
                guard total <= limits.outputBytes else {
                    child.kill()
                    return (bytes, true)
                }
            }
        } catch {
            // As good as its end: whether what came before is complete shows when it is parsed.
        }
        return (bytes, false)
    }
}

extension LimitedProcess.Ending {
    init(_ status: TerminationStatus) {
        self =
            switch status {
            case .exited(let code): .exited(code)
            case .signaled(let signal): .signaled(signal)
            }
    }
}

/// Makes a path of a type that belongs to swift-system, without a dependency on it for this one call.
func filePath<Path: ExpressibleByStringLiteral>(_ path: Path.StringLiteralType) -> Path {
    Path(stringLiteral: path)
}

extension Environment {
    /// These variables and no others.
    init(exactly variables: [String: String]) {
        var custom: [Environment.Key: String] = [:]
        for (name, value) in variables { custom[Environment.Key(stringLiteral: name)] = value }
        self = .custom(custom)
    }
}
