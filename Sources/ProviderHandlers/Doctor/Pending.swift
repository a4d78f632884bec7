/// A value that a thread of its own is finding out.
final class Pending<Value: Sendable>: Sendable {
    private let value = Locked<Value?>(nil)
    /// Ended when the value is there. It waits by the monotonic clock: a clock that is set may be what doctor looks for.
    private let wait = Pause()

    /// Starts `look`, which may hang: nobody waits for the thread.
    init(_ look: @escaping @Sendable () -> Value) {
        // Without a thread the value never comes, and the reader's limit ends the wait.
        _ = try? Threads.start(stackSize: 2 * 1024 * 1024) { [self] in
            let found = look()
            value.withLock { $0 = found }
            wait.end()
        }
    }

    /// Blocks until the value is there; nil when it is not there at the deadline.
    func value(until deadline: ContinuousClock.Instant) -> Value? {
        let rest = max(.zero, deadline - .now)
        _ = wait.wait(rest, longest: rest)
        return value.withLock { $0 }
    }
}
