import Glibc

/// The process's signals: which threads see which, and the wait for those that main acts on.
enum Signals {
    /// What main is asked to do.
    enum Request {
        case stop
        case reload
    }

    private static let stops = [SIGTERM, SIGINT]
    private static let reload = SIGHUP

    /// Wakes a thread out of accept. Its handler does nothing: interrupting the call is all it is for.
    static let wake = SIGUSR1

    /// The one thread that waits for requests.
    private static let main = pthread_self()

    /// Keeps a SIGHUP until main asks for it: one that comes while the worker starts would otherwise kill it. To be
    /// called first of all.
    static func holdReload() {
        set(SIG_BLOCK, [reload])
    }

    /// To be called in main before any other thread exists: they inherit what is blocked.
    static func prepare() {
        // A connection that nginx has closed shows as EPIPE. Set before FCGX_Init, which otherwise installs a handler
        // that stops all of libfcgi's input and output.
        signal(SIGPIPE, SIG_IGN)
        // Not by signal(3), which asks for interrupted calls to be restarted: accept has to return.
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in }
        unsafe sigaction(wake, &action, nil)
        // A thread of swift-subprocess waits with no signal blocked (its epoll_pwait), and the kernel may hand it what is
        // meant for main, whose next wait then takes it up. Set before FCGX_Init, which has handlers of its own that lose
        // it. The thread is looked up first: a handler must not be the one to do that.
        _ = main
        for signal in stops + [reload] {
            action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = { signal in pthread_kill(Signals.main, signal) }
            unsafe sigaction(signal, &action, nil)
        }
        set(SIG_BLOCK, stops + [reload, wake])
    }

    /// Whether this thread can be woken now.
    static func allowWake(_ isAllowed: Bool) {
        set(isAllowed ? SIG_UNBLOCK : SIG_BLOCK, [wake])
    }

    /// Waits for a signal that asks for something, but no longer than `limit`; nil when none came.
    static func wait(limit: Duration) -> Request? {
        switch receive(stops + [reload], limit: limit) {
        case nil: nil
        case reload: .reload
        default: .stop
        }
    }

    /// Waits for SIGTERM or SIGINT, but no longer than `limit`; whether one came. A SIGHUP has no meaning any more.
    static func waitForStop(limit: Duration) -> Bool {
        receive(stops, limit: limit) != nil
    }

    private static func receive(_ list: [CInt], limit: Duration) -> CInt? {
        var signals = Self.signals(list)
        var time = timespec(
            tv_sec: Int(limit.components.seconds), tv_nsec: Int(limit.components.attoseconds / 1_000_000_000))
        let signal = unsafe sigtimedwait(&signals, nil, &time)
        return signal > 0 ? signal : nil
    }

    private static func set(_ how: CInt, _ signals: [CInt]) {
        var signals = Self.signals(signals)
        unsafe pthread_sigmask(how, &signals, nil)
    }

    private static func signals(_ list: [CInt]) -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in list { unsafe sigaddset(&set, signal) }
        return set
    }
}
