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

    private static func set(_ requests: [Request]) -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in requests.flatMap(\.signals) { unsafe sigaddset(&set, signal) }
        return set
    }
}
