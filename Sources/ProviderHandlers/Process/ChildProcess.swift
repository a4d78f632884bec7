import CGlibc
import Glibc

/// Runs programs, one at a time, each on the thread that calls `run`; another thread may stop them.
///
/// A child leads its own session, so that a signal also reaches the processes that it starts. It gets only the descriptors
/// that `Command` names, only the given variables, and no blocked or ignored signal.
final class ChildProcess: Sendable {
    struct Command: Sendable {
        /// The program's file.
        var path: String
        /// All of argv: the program's name comes first.
        var arguments: [String]
        var environment: [String: String]
        /// Whether standard input is a pipe that ends when this process does; otherwise it is /dev/null.
        var hasInputPipe = false
        /// Whether standard error is read; otherwise it is /dev/null.
        var isErrorOutputRead = true
    }

    enum Event {
        /// A piece of standard output.
        case output(ArraySlice<UInt8>)
        /// A piece of standard error.
        case errorOutput(ArraySlice<UInt8>)
        /// The deadline has passed.
        case overdue
    }

    /// How a child ended. The description follows "the program".
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

    /// Why a child was not started.
    struct NotStarted: Error, CustomStringConvertible {
        let description: String
    }

    private struct State {
        /// Also its process group; nil once it may have been reaped, because then its number may be another's.
        var child: pid_t?
        /// A child may exist before its number is known.
        var isStarting = false
        var isStopped = false
    }

    private static let chunk = 16 * 1024
    /// The largest pipe that a user may ask for (pipe(7)): what an ended child has written is no more.
    private static let largestPipe = 1024 * 1024
    /// How often to look for the end of a child where the kernel has no pidfd_open(2).
    private static let pollInterval: CInt = 20
    /// A parent may have left SIGCHLD ignored, which hides how a child ended (wait(2), NOTES). Restored before the first child.
    private static let restoredChildSignal: Void = { Glibc.signal(SIGCHLD, SIG_DFL) }()

    /// The objects whose programs run now.
    private struct Registry {
        var running: [ObjectIdentifier: ChildProcess] = [:]
        var isClosed = false
    }
    private static let registry = Locked(Registry())

    private let state = Locked(State())

    /// Kills all programs that run now, and lets no other be started. For a process that ends now.
    ///
    /// - Parameter limit: how long to block while a program is starting.
    static func stopAll(waitingForStart limit: Duration) {
        let running = registry.withLock { registry in
            registry.isClosed = true
            return Array(registry.running.values)
        }
        for process in running { process.stop(waitingForStart: limit) }
    }

    /// Whether `stop` has been called.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Runs a program until it has ended, then kills the processes that it leaves. A child that survives SIGKILL blocks the
    /// caller until it ends.
    ///
    /// - Parameters:
    ///   - deadline: when `.overdue` is due first.
    ///   - handle: called for each event, on the calling thread; returns the next deadline, nil for none.
    /// - Throws: when the program cannot be started, or must not be started after `stop`.
    func run(
        _ command: Command, deadline: ContinuousClock.Instant,
        _ handle: (Event) -> ContinuousClock.Instant?
    ) throws(NotStarted) -> Ending {
        let mayRun = Self.registry.withLock { registry in
            if !registry.isClosed { registry.running[ObjectIdentifier(self)] = self }
            return !registry.isClosed
        }
        guard mayRun else { throw NotStarted(description: "this process is stopping") }
        defer { Self.registry.withLock { $0.running[ObjectIdentifier(self)] = nil } }
        var output = try Pipe()
        var errorOutput = command.isErrorOutputRead ? try Pipe() : nil
        var input = command.hasInputPipe ? try Pipe() : nil
        let child = try start(command, input?.reading, output.writing, errorOutput?.writing)
        input?.closeReading()
        output.closeWriting()
        errorOutput?.closeWriting()
        output.setNonBlocking()
        errorOutput?.setNonBlocking()
        listen(to: child, output.reading, errorOutput?.reading ?? -1, deadline, handle)
        // Its end would tell the child that this process has gone.
        input?.closeWriting()
        // The number is still the child's: it has ended and is not reaped.
        signal(SIGKILL)
        drain(output.reading) { _ = handle(.output($0)) }
        if let errorOutput { drain(errorOutput.reading) { _ = handle(.errorOutput($0)) } }
        return reap(child)
    }

    /// Sends a signal to the child that runs, if any, and to the processes that it has started.
    func signal(_ number: CInt) {
        state.withLock { state in
            if let child = state.child { _ = Glibc.kill(-child, number) }
        }
    }

    /// Kills the child that runs, if any, and lets no other be started, without waiting for its end.
    ///
    /// - Parameter limit: how long to block while a child is starting. After the exit of this process, nothing would kill the
    ///   child.
    func stop(waitingForStart limit: Duration = .zero) {
        let deadline = ContinuousClock.now + limit
        state.withLock { $0.isStopped = true }
        signal(SIGKILL)
        while state.withLock({ $0.isStarting }) && ContinuousClock.now < deadline { usleep(1000) }
    }

    // MARK: The start

    private func start(
        _ command: Command, _ input: CInt?, _ output: CInt, _ errorOutput: CInt?
    ) throws(NotStarted) -> pid_t {
        _ = Self.restoredChildSignal
        let mayStart = state.withLock { state in
            state.isStarting = !state.isStopped
            return state.isStarting
        }
        guard mayStart else { throw NotStarted(description: "this process is stopping") }
        let (child, code) = Self.spawn(command, input, output, errorOutput)
        let isStopped = state.withLock { state in
            state.child = code == 0 ? child : nil
            if state.isStopped, let child = state.child { _ = Glibc.kill(-child, SIGKILL) }
            state.isStarting = false
            return state.isStopped
        }
        guard code == 0 else {
            throw NotStarted(description: isStopped ? "this process is stopping" : systemError(code))
        }
        return child
    }

    private static func spawn(
        _ command: Command, _ input: CInt?, _ output: CInt, _ errorOutput: CInt?
    ) -> (child: pid_t, code: CInt) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        if let input { unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO) }
        if let errorOutput { unsafe posix_spawn_file_actions_adddup2(&actions, errorOutput, STDERR_FILENO) }
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
        // Last: until here the child may have no descriptor left to open a file with.
        if input == nil { unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) }
        if errorOutput == nil {
            unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        }

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setflags(
            &attributes, cglibc_spawn_setsid | Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var arguments = unsafe command.arguments.map { unsafe strdup($0) } + [nil]
        var variables = unsafe command.environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer {
            for index in unsafe arguments.indices { unsafe free(arguments[index]) }
            for index in unsafe variables.indices { unsafe free(variables[index]) }
        }
        var child: pid_t = 0
        let code = unsafe posix_spawn(&child, command.path, &actions, &attributes, &arguments, &variables)
        return (child, code)
    }

    // MARK: The run

    /// Returns when the child has ended.
    private func listen(
        to child: pid_t, _ output: CInt, _ errorOutput: CInt, _ deadline: ContinuousClock.Instant,
        _ handle: (Event) -> ContinuousClock.Instant?
    ) {
        let end = cglibc_pidfd_open(child)
        defer { if end >= 0 { close(end) } }
        var deadline: ContinuousClock.Instant? = deadline
        var polled = [output, errorOutput, end].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: Self.chunk)
        while true {
            let rest = deadline.map { $0 - .now }
            if let rest, rest <= .zero {
                deadline = handle(.overdue)
                continue
            }
            let limit = rest?.pollMilliseconds ?? (end >= 0 ? -1 : Self.pollInterval)
            guard unsafe poll(&polled, nfds_t(polled.count), end >= 0 ? limit : min(limit, Self.pollInterval)) >= 0
            else {
                // EINTR, or ENOMEM, which passes.
                if errno != EINTR { usleep(100_000) }
                continue
            }
            for index in 0...1 where polled[index].revents != 0 {
                let count = Self.read(polled[index].fd, &buffer)
                if count > 0 {
                    deadline = handle(index == 0 ? .output(buffer[..<count]) : .errorOutput(buffer[..<count]))
                } else if count == 0 {
                    // poll(2) passes over a negative number.
                    polled[index].fd = -1
                }
            }
            if (end < 0 || polled[2].revents != 0) && Self.hasEnded(child) { return }
        }
    }

    /// Reads what is there already. A process that has left the child's session may keep the pipe open.
    private func drain(_ descriptor: CInt, _ handle: (ArraySlice<UInt8>) -> Void) {
        var buffer = [UInt8](repeating: 0, count: Self.chunk)
        for _ in 0..<Self.largestPipe / Self.chunk {
            let count = Self.read(descriptor, &buffer)
            guard count > 0 else { return }
            handle(buffer[..<count])
        }
    }

    private static func read(_ descriptor: CInt, _ buffer: inout [UInt8]) -> Int {
        unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
    }

    // MARK: The end

    private static func hasEnded(_ child: pid_t) -> Bool {
        var information = unsafe siginfo_t()
        // si_signo stays 0 while there is nothing to tell (waitid(2)).
        return unsafe waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT) == 0
            && information.si_signo != 0
    }

    private func reap(_ child: pid_t) -> Ending {
        state.withLock { $0.child = nil }
        var status: CInt = 0
        while unsafe waitpid(child, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .signaled(signal)
    }
}

/// A pipe; both ends are closed with it.
private struct Pipe: ~Copyable {
    private(set) var reading: CInt = -1
    private(set) var writing: CInt = -1

    init() throws(ChildProcess.NotStarted) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw ChildProcess.NotStarted(description: systemError(errno)) }
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        if reading >= 0 { close(reading) }
        if writing >= 0 { close(writing) }
    }

    /// For a pipe that this process reads from: the child's standard input has to block.
    func setNonBlocking() {
        _ = fcntl(reading, F_SETFL, fcntl(reading, F_GETFL) | O_NONBLOCK)
    }

    mutating func closeReading() {
        close(reading)
        reading = -1
    }

    mutating func closeWriting() {
        close(writing)
        writing = -1
    }
}
