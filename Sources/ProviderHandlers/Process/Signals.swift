import Glibc

/// The signals by which a program is asked for something: a thread waits for them, no handler runs.
public enum Signals {
    public enum Request: Sendable, CaseIterable {
        /// SIGTERM or SIGINT.
        case stop
        /// SIGHUP.
        case reload

        fileprivate var signals: [CInt] {
            switch self {
            case .stop: [SIGTERM, SIGINT]
            case .reload: [SIGHUP]
            }
        }
    }

    /// Keeps signals until a thread waits for them.
    ///
    /// Must be called before another thread exists, because threads inherit the mask. Linux never discards a blocked signal, also
    /// where the parent has left it ignored or the process is the first of a container.
    public static func hold(_ requests: [Request]) {
        var signals = set(requests)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Blocks the calling thread until one of these signals has come.
    ///
    /// - Parameter limit: how long to wait at most; nil for no limit.
    /// - Returns: nil when none has come.
    public static func wait(for requests: [Request], limit: Duration? = nil) -> Request? {
        var signals = set(requests)
        let deadline = limit.map { ContinuousClock.now + $0 }
        while true {
            let rest = max(.zero, deadline.map { $0 - .now } ?? .seconds(3600))
            var time = timespec(
                tv_sec: Int(rest.components.seconds), tv_nsec: Int(rest.components.attoseconds / 1_000_000_000))
            let signal = unsafe sigtimedwait(&signals, nil, &time)
            if signal > 0 { return requests.first { $0.signals.contains(signal) } }
            // EAGAIN, or EINTR for a signal with a handler.
            if let deadline, deadline <= .now { return nil }
        }
    }

    /// How long a cleanup may take. A file server that hangs, or a terminal whose output is stopped, may block it for ever.
    private static let cleanupLimit = Duration.seconds(2)

    /// Has SIGINT, SIGTERM, SIGHUP and SIGQUIT run `cleanup` before they end this process, on a thread of its own.
    ///
    /// The process ends also when `cleanup` does not end within 2 s. A signal that the parent has left ignored stays ignored, as
    /// for `nohup`. Must be called before another thread exists.
    public static func clean(_ cleanup: @escaping @Sendable () -> Void) {
        let numbers = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].filter { number in
            var action = sigaction()
            guard unsafe sigaction(number, nil, &action) == 0 else { return false }
            return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) != 1  // SIG_IGN
        }
        var signals = set(numbers)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        do throws(Threads.Shortage) {
            try Threads.start {
                var signals = set(numbers)
                var number: CInt = 0
                while unsafe sigwait(&signals, &number) != 0 {}
                finish(cleanup)
                signal(number, SIG_DFL)
                unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
                kill(getpid(), number)
                // The first process of a container survives its signal.
                _exit(128 + number)
            }
        } catch {
            // The signals end the process without a cleanup.
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        }
    }

    private static func finish(_ cleanup: @escaping @Sendable () -> Void) {
        let pause = Pause()
        do throws(Threads.Shortage) {
            try Threads.start {
                cleanup()
                pause.end()
            }
            _ = pause.wait(cleanupLimit, longest: cleanupLimit)
        } catch {
            cleanup()
        }
    }

    private static func set(_ requests: [Request]) -> sigset_t { set(requests.flatMap(\.signals)) }

    private static func set(_ signals: [CInt]) -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        return set
    }
}
