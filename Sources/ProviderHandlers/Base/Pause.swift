import Glibc

/// The pauses of one thread, which other threads can cut short or end for good.
///
/// On the monotonic clock, so that a jump of the system's time neither cuts nor prolongs a pause. DispatchSemaphore's timed wait
/// goes by the system's time on Linux.
///
/// `@unchecked Sendable`: `isCut` and `hasEnded` are touched with `lock` held alone, and the two C objects are made for threads.
@safe final class Pause: @unchecked Sendable {
    // Not inline: neither object may move.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var isCut = false
    private var hasEnded = false

    init() {
        unsafe lock = .allocate(capacity: 1)
        unsafe changed = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(changed, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(changed)
        unsafe pthread_mutex_destroy(lock)
        unsafe changed.deallocate()
        unsafe lock.deallocate()
    }

    /// Whether `end` has been called.
    var isEnded: Bool { locked { hasEnded } }

    /// Pauses for `longest`, or for `shortest` when `cut` is called before or meanwhile.
    ///
    /// - Returns: false, without a pause, once `end` has been called.
    func wait(_ shortest: Duration, longest: Duration) -> Bool {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return locked {
            while !hasEnded {
                var deadline = Self.time(now, plus: isCut ? shortest : longest)
                if unsafe pthread_cond_timedwait(changed, lock, &deadline) == ETIMEDOUT {
                    // A cut may have come as the longer pause was over.
                    isCut = false
                    break
                }
            }
            return !hasEnded
        }
    }

    /// Cuts the pause short that runs, else the next.
    func cut() {
        locked { isCut = true }
        unsafe pthread_cond_signal(changed)
    }

    /// Ends this pause and every later one.
    func end() {
        locked { hasEnded = true }
        unsafe pthread_cond_signal(changed)
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return body()
    }

    private static func time(_ start: timespec, plus duration: Duration) -> timespec {
        let nanoseconds = start.tv_nsec + Int(duration.components.attoseconds / 1_000_000_000)
        return timespec(
            tv_sec: start.tv_sec + Int(duration.components.seconds) + nanoseconds / 1_000_000_000,
            tv_nsec: nanoseconds % 1_000_000_000)
    }
}
