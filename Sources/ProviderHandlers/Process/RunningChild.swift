import Dispatch
import Glibc

/// The one child process that runs at a time, if any, for those who may have to end it from another thread.
///
/// It leads a process group, so that what it has started is ended with it.
final class RunningChild: Sendable {
    private struct State {
        /// Also its process group; nil once it may have been reaped.
        var child: pid_t?
        /// It may be there, but its number is not known yet.
        var isStarting = false
        var isStopped = false
    }

    private let state = Locked(State())
    /// Counts once when a start is over that `stop` came upon.
    private let startIsOver = DispatchSemaphore(value: 0)

    /// The parent process may have left SIGCHLD ignored, which hides how a child ended (wait(2), NOTES).
    /// Once, before the first child: swift-subprocess sets a handler of its own on kernels before 5.4.
    private static let restoredChildSignal: Void = { signal(SIGCHLD, SIG_DFL) }()

    init() {
        Self.restoredChildSignal
    }

    /// Whether `stop` has been called.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Notes that a child is about to be started; `begin` or `end` has to follow.
    ///
    /// - Returns: false after `stop`: then none may be started.
    func prepare() -> Bool {
        state.withLock { state in
            state.isStarting = !state.isStopped
            return state.isStarting
        }
    }

    /// Notes a child that has been started; after `stop` it is killed at once.
    func begin(_ child: pid_t) {
        if finishStart(child) {
            kill()
            startIsOver.signal()
        }
    }

    /// To be called before the child is reaped, since until then its number is no other's, and when there is none because
    /// it could not be started.
    func end() {
        if finishStart(nil) { startIsOver.signal() }
    }

    /// - Returns: whether `stop` has come in between.
    private func finishStart(_ child: pid_t?) -> Bool {
        state.withLock { state in
            defer { state.isStarting = false }
            state.child = child
            return state.isStarting && state.isStopped
        }
    }

    /// Sends SIGKILL to the child and what it has started.
    func kill() {
        state.withLock { state in
            guard let child = state.child else { return }
            _ = Glibc.kill(-child, SIGKILL)
        }
    }

    /// Kills the child that runs, if any, and lets no other be started, without waiting for it to be gone.
    ///
    /// - Parameter limit: how long to block until a child that is just being started can be killed: once the caller has
    ///   exited, nobody would.
    func stop(waitingForStart limit: Duration = .zero) {
        let isStarting = state.withLock { state in
            state.isStopped = true
            return state.isStarting
        }
        kill()
        guard isStarting && startIsOver.wait(timeout: .now() + .milliseconds(limit.milliseconds)) == .success else {
            return
        }
        // For the next one who waits.
        startIsOver.signal()
    }
}
