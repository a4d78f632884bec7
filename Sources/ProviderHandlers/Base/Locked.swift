import Glibc

/// A value that one thread at a time can use.
///
/// `Synchronization.Mutex` is a futex with priority inheritance on Linux: the kernel hands the lock to a waiting thread. All
/// other threads then wait until the kernel schedules that thread. That took a third of the worker's processor time at 32
/// requests at once. A pthread mutex goes to a running thread. ThreadSanitizer understands it as well.
///
/// `@unchecked Sendable`: only `withLock` uses `value`, with the lock held, and `init` takes over a value without other
/// references.
@safe public struct Locked<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // Not inline: a pthread_mutex_t must not move.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let value: UnsafeMutablePointer<Value>

    public init(_ value: consuming sending Value) {
        unsafe lock = .allocate(capacity: 1)
        // It can fail only by its attributes or a lack of memory (pthread_mutex_init(3)). It has no attributes and allocates nothing.
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

    /// Runs `body` with the lock held. `body` must not take the lock again.
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return try unsafe body(&value.pointee)
    }
}
