import Glibc

/// Runs a program within limits, one child at a time, and keeps what it writes.
final class LimitedProcess: Sendable {
    struct Limits: Sendable {
        /// How long the child may run; then it gets SIGTERM.
        var run = Duration.seconds(5)
        /// How long it may survive SIGTERM; then it gets SIGKILL.
        var termination = Duration.seconds(1)
        /// A child that writes more to standard output, or to standard error, gets SIGKILL.
        var outputBytes = 16 * 1024 * 1024
        /// How much of standard error is kept.
        var errorBytes = 8 * 1024
    }

    struct Result: Sendable {
        var output: [UInt8] = []
        var errorOutput: [UInt8] = []
        /// The child wrote too much and was killed.
        var isTooMuch = false
        /// The child took too long and was ended.
        var isTimedOut = false
        var ending = ChildProcess.Ending.exited(0)
    }

    let limits: Limits
    private let child = ChildProcess()

    init(limits: Limits) {
        self.limits = limits
    }

    /// Runs the program and returns when it has ended; a child that survives SIGKILL blocks the caller.
    ///
    /// - Throws: when it cannot be started, or must not be started after `stop`.
    func run(
        _ path: String, arguments: [String], environment: [String: String]
    ) throws(ChildProcess.NotStarted) -> Result {
        let command = ChildProcess.Command(path: path, arguments: [path] + arguments, environment: environment)
        var result = Result()
        var (outputTotal, errorTotal) = (0, 0)
        var deadline: ContinuousClock.Instant? = .now + limits.run
        result.ending = try child.run(command, deadline: .now + limits.run) { event in
            switch event {
            case .output(let bytes):
                outputTotal += bytes.count
                result.output += bytes.prefix(limits.outputBytes - result.output.count)
            case .errorOutput(let bytes):
                errorTotal += bytes.count
                result.errorOutput += bytes.prefix(limits.errorBytes - result.errorOutput.count)
            case .overdue where result.isTimedOut:
                child.signal(SIGKILL)
                deadline = nil
            case .overdue:
                result.isTimedOut = true
                child.signal(SIGTERM)
                deadline = .now + limits.termination
            }
            if max(outputTotal, errorTotal) > limits.outputBytes && !result.isTooMuch {
                result.isTooMuch = true
                child.signal(SIGKILL)
            }
            return deadline
        }
        return result
    }

    /// As `ChildProcess.stop`.
    func stop(waitingForStart limit: Duration = .zero) {
        child.stop(waitingForStart: limit)
    }
}
