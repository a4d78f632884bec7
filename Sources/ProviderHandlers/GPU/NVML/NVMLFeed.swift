import Glibc

/// Keeps a child process that samples NVML, and passes on its messages.
///
/// NVML may hang or crash at any time. A silent child is killed; a child that has ended is started again after a pause. While
/// a child cannot be killed no second child is started.
public final class NVMLFeed: Sendable {
    /// Times; shorter ones let a test be quick.
    struct Timing: Sendable {
        /// Between two reads: a quarter of what the driver takes to renew its counters, so that a renewal is seen soon.
        var interval = Duration.milliseconds(50)
        /// How long the child may take to its first message: without nvidia-persistenced, initializing NVML wakes every GPU.
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
    private let child = ChildProcess()
    private let pause = Pause()

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
        // Our log tells of a crash. Swift's runtime would take its time to explain it.
        self.environment = Program.forOthers(environment).merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        self.timing = timing
    }

    /// Starts the thread that keeps the child and passes on each message, until `stop`.
    func start(_ report: @escaping @Sendable (NVMLMessage) -> Void) throws(Threads.Shortage) {
        try Threads.start { [self] in keep(report) }
    }

    /// Kills the child, and any later one, without waiting for its end.
    func stop() {
        pause.end()
        child.stop()
    }

    private func keep(_ report: (NVMLMessage) -> Void) {
        var length = timing.pause
        while !child.isStopped {
            let started = ContinuousClock.now
            let run = runChild(report)
            if run.hasWorked && ContinuousClock.now - started > timing.longestPause { length = timing.pause }
            if run.isMissing { length = timing.missingPause }
            guard pause.wait(length, longest: length) else { return }
            length = min(length * 2, timing.longestPause)
        }
    }

    /// Runs one child until it has ended.
    private func runChild(_ report: (NVMLMessage) -> Void) -> NVMLChild {
        var run = NVMLChild()
        var line: [UInt8] = []
        let command = ChildProcess.Command(
            path: program,
            arguments: ["provider-fcgi", "--nvml-probe", "\(max(1, timing.interval.milliseconds))"],
            environment: environment, hasInputPipe: true, isErrorOutputRead: false)
        let last: NVMLMessage?
        do throws(ChildProcess.NotStarted) {
            let ending = try child.run(command, deadline: run.lastMessage + timing.startLimit) { event in
                if case .output(let bytes) = event {
                    line += bytes
                    while let end = line.firstIndex(of: UInt8(ascii: "\n")) {
                        run.take(line[..<end]).map(report)
                        line.removeSubrange(...end)
                    }
                    if line.count <= Self.maxLineBytes {
                        return run.lastMessage + (run.hasSpoken ? timing.silenceLimit : timing.startLimit)
                    }
                    run.fail("NVML's process wrote an endless line and was killed").map(report)
                } else {
                    let limit = run.hasSpoken ? timing.silenceLimit : timing.startLimit
                    run.fail("NVML has been silent for \(limit.inSeconds) s").map(report)
                }
                child.signal(SIGKILL)
                return nil
            }
            last = run.end(ending)
        } catch {
            last = run.fail("NVML's process cannot be started: \(error)")
        }
        // A child that `stop` has killed did nothing wrong.
        if !child.isStopped { last.map(report) }
        return run
    }
}
