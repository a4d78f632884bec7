import Dispatch

/// A value that a thread of its own is finding out.
final class Pending<Value: Sendable>: Sendable {
    private let value = Locked<Value?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    /// Starts `look`, which may hang: nobody waits for the thread.
    init(_ look: @escaping @Sendable () -> Value) {
        // Without a thread the value never comes, and the reader's limit ends the wait.
        _ = try? Threads.start(stackSize: 2 * 1024 * 1024) { [self] in
            let found = look()
            value.withLock { $0 = found }
            isThere.signal()
        }
    }

    /// Blocks until the value is there; nil when it is not there at the deadline.
    func value(until deadline: ContinuousClock.Instant) -> Value? {
        let rest = max(.zero, deadline - .now)
        if isThere.wait(timeout: .now() + .milliseconds(rest.milliseconds)) == .success { isThere.signal() }
        return value.withLock { $0 }
    }
}
