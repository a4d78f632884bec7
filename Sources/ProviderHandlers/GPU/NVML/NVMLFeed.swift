import Subprocess
import Synchronization

/// Keeps a child process that samples NVML, and passes on what it says.
///
/// The child may hang or crash, as NVML makes it, at any time: one that is silent is killed, one that has ended is started
/// again after a pause. Never is a second one started beside one that cannot be killed.
public final class NVMLFeed: Sendable {
    /// Times; shorter ones let a test be quick.
    struct Timing: Sendable {
        /// Between two reads: a quarter of what the driver takes to renew its counters, so that a renewal is seen soon.
        var interval = Duration.milliseconds(50)
        /// How long the child may take to its first word: without nvidia-persistenced, initializing NVML wakes every GPU.
        var startLimit = Duration.seconds(30)
        /// How long it may be silent afterwards.
        var silenceLimit = Duration.seconds(2)
        /// Until a child is started again; doubled each time, up to the longest, until one has worked for that long.
        var pause = Duration.seconds(1)
        var longestPause = Duration.seconds(30)
        /// Until NVML is looked for again where it is missing.
        var missingPause = Duration.seconds(60)
    }

    /// More than 64 GPUs, split in seven each, need.
    private static let maxLineBytes = 1024 * 1024

    private let program: String
    private let environment: [String: String]
    private let timing: Timing
    private let child = RunningChild()

    /// A feed from the program that runs now, which must know `--nvml-probe`.
    ///
    /// - Parameter configuration: asks for samples more often than usual where its interval is shorter.
    public convenience init(_ configuration: Configuration.GPU) {
        var timing = Timing()
        timing.interval = min(timing.interval, configuration.sampleInterval)
        // Also right when a package has replaced the file since.
        self.init(program: "/proc/self/exe", environment: Program.environment, timing: timing)
    }

    /// - Parameters:
    ///   - program: the path of the worker's executable.
    ///   - environment: what our own is.
    init(program: String, environment: [String: String], timing: Timing) {
        self.program = program
        // A crash is told in a line of our log; Swift's runtime would take its time to explain it.
        self.environment = Program.forOthers(environment).merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        self.timing = timing
    }

    /// Passes on each word as it comes, until the task is cancelled or `stop` is called.
    func run(_ report: @escaping @Sendable (NVMLMessage) -> Void) async {
        var pause = timing.pause
        while !Task.isCancelled {
            let run = ChildRun(report)
            let started = ContinuousClock.now
            await runChild(run)
            guard !Task.isCancelled else { return }
            if run.hasWorked && ContinuousClock.now - started > timing.longestPause { pause = timing.pause }
            if run.isMissing { pause = timing.missingPause }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, timing.longestPause)
        }
    }

    /// Kills the child, and any later one, without waiting for it to be gone.
    func stop() {
        child.stop()
    }

    private func runChild(_ run: ChildRun) async {
        var options = PlatformOptions()
        options.createSession = true
        // When the task is cancelled: nothing is lost with the child.
        options.teardownSequence = [
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))
        ]
        let interval = max(1, timing.interval.milliseconds)
        guard child.prepare() else { return }
        defer { child.end() }
        do {
            try DescriptorReserve.checkRoomForChild()
            // Its standard input is a pipe that ends with us.
            let result = try await Subprocess.run(
                .path(filePath(program)),
                arguments: Arguments(
                    executablePathOverride: "provider-fcgi", remainingValues: ["--nvml-probe", "\(interval)"]),
                environment: Environment(exactly: environment), platformOptions: options, input: .inputWriter,
                output: .sequence, error: .discarded
            ) { execution in
                child.begin(execution.processIdentifier.value)
                defer { child.end() }
                await listen(to: execution.standardOutput, run)
            }
            // One that `stop` has killed did nothing wrong.
            if !child.isStopped { run.end(LimitedProcess.Ending(result.terminationStatus)) }
        } catch {
            run.fail("NVML's process cannot be started: \(error)")
        }
    }

    private func listen(to output: SubprocessOutputSequence, _ run: ChildRun) async {
        let watchdog = Task { await watch(run) }
        defer { watchdog.cancel() }
        var line: [UInt8] = []
        do {
            for try await buffer in output {
                line.append(buffer.bytes)
                while let end = line.firstIndex(of: UInt8(ascii: "\n")) {
                    run.take(line[..<end])
                    line.removeSubrange(...end)
                }
                guard line.count <= Self.maxLineBytes else {
                    run.fail("NVML's process wrote a line without end and was killed")
                    child.kill()
                    return
                }
            }
        } catch {
            // As good as its end.
        }
    }

    /// Gives the child up when it has been silent for too long.
    private func watch(_ run: ChildRun) async {
        while true {
            let limit = run.hasSpoken ? timing.silenceLimit : timing.startLimit
            let now = ContinuousClock.now
            guard now < run.lastWord + limit else {
                run.fail("NVML has been silent for \(limit.inSeconds) s")
                child.kill()
                return
            }
            // No longer than the shorter limit, which is the one to go by as soon as it has spoken.
            let next = min(run.lastWord + limit, now + timing.silenceLimit)
            guard (try? await Task.sleep(until: next, clock: .continuous)) != nil else { return }
        }
    }
}
