import Glibc
import Synchronization

/// The one child process that runs at a time, if any, for those who may have to end it from another thread.
///
/// It leads a process group, so that what it has started is ended with it.
final class RunningChild: Sendable {
    private struct State {
        /// Also its process group; nil once it may have been reaped.
        var child: pid_t?
        var isStopped = false
    }

    private let state = Mutex(State())

    /// Whoever started us may have left SIGCHLD ignored, and then how a child ended cannot be learnt (wait(2), NOTES).
    /// Once, before the first child: swift-subprocess sets a handler of its own on kernels before 5.4.
    private static let restoredChildSignal: Void = { signal(SIGCHLD, SIG_DFL) }()

    init() {
        Self.restoredChildSignal
    }

    /// Notes a child that has been started; after `stop` it is killed at once.
    func begin(_ child: pid_t) {
        let isStopped = state.withLock { state in
            state.child = child
            return state.isStopped
        }
        if isStopped { kill() }
    }

    /// To be called before the child is reaped: until then its number is no other's.
    func end() {
        state.withLock { $0.child = nil }
    }

    /// Sends SIGKILL to the child and what it has started.
    func kill() {
        state.withLock { state in
            guard let child = state.child else { return }
            _ = Glibc.kill(-child, SIGKILL)
        }
    }

    /// Kills the child that runs, if any, and every later one, without waiting for it to be gone.
    func stop() {
        state.withLock { $0.isStopped = true }
        kill()
    }
}
