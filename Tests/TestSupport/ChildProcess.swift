public import Foundation
import Synchronization

/// A program that a test has started; killed, with what it started itself, when its owner lets go of it.
///
/// Its output goes to files, so that it can be read at any time and never blocks the program.
public final class ChildProcess: Sendable {
    /// How a program ended.
    public enum Exit: Equatable, Sendable {
        case status(CInt)
        case signal(CInt)
    }

    public let pid: pid_t
    private let directory: TemporaryDirectory
    private let exit = Mutex<Exit?>(nil)

    /// Starts a program in a new process group.
    ///
    /// - Parameters:
    ///   - executable: a path, or a name looked up on PATH.
    ///   - environment: its whole environment, but for what a sanitizer goes by; nil for a copy of ours.
    ///   - standardInput: becomes descriptor 0, for example a listening socket; nil for /dev/null. No other
    ///     descriptor is passed on.
    ///   - workingDirectory: nil for ours.
    ///   - logsToJournal: whether it takes standard error for a stream to journald, so that log lines have their priority.
    /// - Throws: `POSIXError` when it cannot be started.
    public init(
        _ executable: String, _ arguments: [String] = [], environment: [String: String]? = nil,
        standardInput: CInt? = nil, workingDirectory: String? = nil, logsToJournal: Bool = false
    ) throws {
        directory = try TemporaryDirectory()
        var environment = Sanitizer.variables.merging(environment ?? ProcessInfo.processInfo.environment) { $1 }
        if logsToJournal {
            environment["JOURNAL_STREAM"] = try Self.stream(try directory.write("", to: "stderr", mode: 0o600))
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let standardInput {
            posix_spawn_file_actions_adddup2(&actions, standardInput, STDIN_FILENO)
        } else {
            posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        for (descriptor, name) in [(STDOUT_FILENO, "stdout"), (STDERR_FILENO, "stderr")] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, directory.path + "/" + name, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        }
        try closeFrom(STDERR_FILENO + 1, &actions)
        if let workingDirectory { try changeDirectory(to: workingDirectory, &actions) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Whatever the test runner ignores or blocks, the program starts as it would from a shell.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var arguments = ([executable] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for string in arguments + variables { free(string) } }
        var pid = pid_t()
        let code = posix_spawnp(&pid, executable, &actions, &attributes, &arguments, &variables)
        guard code == 0 else { throw POSIXError(POSIXError.Code(rawValue: code) ?? .EINVAL) }
        self.pid = pid
    }

    deinit {
        // The group lives on, and keeps its number, while a program of it does.
        kill(-pid, SIGKILL)
        if exit.withLock({ $0 == nil }) { waitpid(pid, nil, 0) }
    }

    /// A file as systemd names a stream (systemd.exec(5), JOURNAL_STREAM).
    private static func stream(_ path: String) throws -> String {
        var information = stat()
        guard stat(path, &information) == 0 else { throw POSIXError(.ENOENT) }
        return "\(information.st_dev):\(information.st_ino)"
    }

    /// All it has written to standard output so far.
    public var standardOutput: String { output("stdout") }

    /// All it has written to standard error so far.
    public var standardError: String { output("stderr") }

    private func output(_ name: String) -> String {
        let data = FileManager.default.contents(atPath: directory.path + "/" + name) ?? Data()
        return String(decoding: data, as: UTF8.self)
    }

    /// Sends a signal to the program alone; does nothing once it has ended.
    public func send(signal: CInt) {
        // Under the lock no other thread reaps it, so the number is still valid.
        exit.withLock { if $0 == nil { _ = kill(pid, signal) } }
    }

    /// Asks it to end.
    public func terminate() { send(signal: SIGTERM) }

    /// How it ended; nil while it runs.
    public var ended: Exit? {
        exit.withLock { exit in
            var status: CInt = 0
            if exit == nil, waitpid(pid, &status, WNOHANG) == pid {
                let signal = status & 0x7F
                exit = signal == 0 ? .status(status >> 8 & 0xFF) : .signal(signal)
            }
            return exit
        }
    }

    /// Waits until it has ended, and tells how.
    ///
    /// - Throws: `NeverHappened`, with what it wrote to standard error.
    @discardableResult
    public func waitForExit(within limit: Duration = .patience) async throws -> Exit {
        let deadline = ContinuousClock.now + limit
        while true {
            if let ended { return ended }
            guard ContinuousClock.now < deadline else {
                throw NeverHappened(description: "process \(pid) never ended; its standard error:\n\(standardError)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

// MARK: - GNU's additions to posix_spawn

// Debian 12's glibc has them, but its header shows them to GNU C alone, which Swift's importer is not. A descriptor
// that leaks into a child keeps a connection of another test open, so closing them all is no luxury.

private typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t>

private func closeFrom(_ first: CInt, _ actions: Actions) throws {
    typealias Function = @convention(c) (Actions, CInt) -> CInt
    let function = unsafeBitCast(try symbol("posix_spawn_file_actions_addclosefrom_np"), to: Function.self)
    _ = function(actions, first)
}

private func changeDirectory(to path: String, _ actions: Actions) throws {
    typealias Function = @convention(c) (Actions, UnsafePointer<CChar>) -> CInt
    let function = unsafeBitCast(try symbol("posix_spawn_file_actions_addchdir_np"), to: Function.self)
    _ = function(actions, path)
}

private func symbol(_ name: String) throws -> UnsafeMutableRawPointer {
    guard let symbol = dlsym(nil, name) else { throw POSIXError(.ENOSYS) }
    return symbol
}
