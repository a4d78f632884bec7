import Glibc

/// A value that one thread at a time can get at.
///
/// In place of `Synchronization.Mutex`, which on Linux is a futex with priority inheritance: a thread that has to wait is
/// handed the lock by the kernel and has to be run before anybody gets any further. With more threads than processors,
/// which is how libfcgi is served, they queue up behind each other like that all the time; it took a third of the worker's
/// processor time at 32 requests at once. pthread's lock goes to whoever runs. It is also one that ThreadSanitizer sees.
///
/// `@unchecked Sendable`: `value` is touched in `withLock` alone, whose lock orders that, and `init` takes over a value
/// that nobody else refers to.
@safe public struct Locked<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // Not inline: a pthread_mutex_t must not move.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    public init(_ value: consuming sending Value) {
        unsafe lock = .allocate(capacity: 1)
        // Fails for want of memory or by attributes (pthread_mutex_init(3)); there are none, and it allocates nothing.
        unsafe pthread_mutex_init(lock, nil)
        unsafe self.value = .allocate(capacity: 1)
        unsafe self.value.initialize(to: value)
    }

    deinit {
        unsafe value.deinitialize(count: 1)
        unsafe value.deallocate()
        unsafe pthread_mutex_destroy(lock)
        unsafe lock.deallocate()
    }

    /// Runs `body` with the lock held, which must not be asked for again in there.
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return try unsafe body(&value.pointee)
    }
}
