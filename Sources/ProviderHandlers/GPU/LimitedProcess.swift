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

    private struct State {
        /// The child that runs, also its process group; nil once it may have been reaped.
        var child: pid_t?
        var isStopped = false
    }

    let limits: Limits
    private let state = Mutex(State())

    /// Whoever started us may have left SIGCHLD ignored, and then how a child ended cannot be learnt (wait(2), NOTES).
    /// Once, before the first child: swift-subprocess sets a handler of its own on kernels before 5.4.
    private static let restoredChildSignal: Void = { signal(SIGCHLD, SIG_DFL) }()

    init(limits: Limits) {
        self.limits = limits
        Self.restoredChildSignal
    }

    /// Runs the program and returns when it has ended, which one that survives SIGKILL never does.
    ///
    /// A program that ends leaving a descendant with its output open is not waited for any longer. Cancelling the task
    /// ends the child early.
    ///
    /// - Throws: when it cannot be started.
    func run(_ path: String, arguments: [String], environment: [String: String]) async throws -> Result {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: limits.termination)
        ]
        var variables: [Environment.Key: String] = [:]
        for (name, value) in environment { variables[Environment.Key(stringLiteral: name)] = value }
        let result = try await Subprocess.run(
            .path(Self.filePath(path)), arguments: Arguments(arguments), environment: .custom(variables),
            platformOptions: options, input: .none, output: .sequence, error: .sequence
        ) { execution in
            let isStopped = state.withLock { state in
                state.child = execution.processIdentifier.value
                return state.isStopped
            }
            // It is reaped after this closure: until then its number is no other's.
            defer { state.withLock { $0.child = nil } }
            // stop() may have come while it was being started.
            if isStopped { kill() }
            return await watch(execution)
        }
        let watched = result.closureResult
        return Result(
            output: watched.output, errorOutput: watched.errorOutput, isTooMuch: watched.isTooMuch,
            isTimedOut: watched.isTimedOut, ending: Ending(result.terminationStatus))
    }

    /// Kills the child that runs, if any, and every later one, without waiting for it to be gone.
    func stop() {
        state.withLock { $0.isStopped = true }
        kill()
    }

    /// Sends SIGKILL to the child and what it has started.
    private func kill() {
        state.withLock { state in
            guard let child = state.child else { return }
            _ = Glibc.kill(-child, SIGKILL)
        }
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
        if isTimedOut { kill() }
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
                    kill()
                    return (bytes, true)
                }
            }
        } catch {
            // As good as its end: whether what came before is complete shows when it is parsed.
        }
        return (bytes, false)
    }

    /// Makes a path of a type that belongs to swift-system, without a dependency on it for this one call.
    private static func filePath<Path: ExpressibleByStringLiteral>(_ path: Path.StringLiteralType) -> Path {
        Path(stringLiteral: path)
    }
}

extension LimitedProcess.Ending {
    fileprivate init(_ status: TerminationStatus) {
        self =
            switch status {
            case .exited(let code): .exited(code)
            case .signaled(let signal): .signaled(signal)
            }
    }
}
