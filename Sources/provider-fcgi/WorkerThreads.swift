import CFastCGI
import Glibc
import Logging
import ProviderHandlers

/// The threads that accept connections and serve requests, each thread one request at a time.
///
/// libfcgi blocks, so a request has a thread to itself. Threads are added when all are busy, up to a limit above
/// `max_in_flight`, so that /health, /busy and refusals always find a thread. Surplus threads end after a burst.
final class WorkerThreads: Sendable {
    /// Threads beyond `server.max_in_flight`.
    private static let reserve = 16
    /// Idle threads kept for the next burst.
    private static let maxIdle = 32
    /// Descriptors that must be free until a shortage of descriptors is over.
    private static let enoughDescriptors = 32
    /// EX_OSERR of sysexits(3).
    private static let socketBroken: CInt = 71
    /// Wakes a thread out of accept. Its handler does nothing: interrupting the call is all it is for.
    private static let wake = SIGUSR1

    /// The service of requests accepted from now on, each until its end.
    private struct Service {
        let pipeline: Pipeline
        let hmacParameter: String
        let maxThreads: Int

        init(_ pipeline: Pipeline, _ configuration: Configuration) {
            self.pipeline = pipeline
            hmacParameter = FastCGIConnection.parameterName(ofHeader: configuration.provider.hmacHeader)
            maxThreads = configuration.server.maxInFlight + WorkerThreads.reserve
        }
    }

    private struct State {
        var service: Service
        var threads: Set<pthread_t> = []
        var idle = 0
        /// Low-water mark of idle threads since the last look. Threads beyond it end late, because starting a thread costs
        /// more than a request does.
        var leastIdle = 0
        /// Number of threads in accept that have to end.
        var surplus = 0
        var accepted: UInt64 = 0
        /// The same at the last look.
        var acceptedBefore: UInt64 = 0
        var isStopping = false
        /// Whether there are too few descriptors, or too little memory, to accept connections.
        var isShort = false
        /// Number of idle threads that wait for the end of a shortage.
        var heldBack = 0

        /// Whether the next connection needs another thread.
        var needsThread: Bool {
            idle == 0 && !isStopping && threads.count < min(service.maxThreads, ProcessResources.maxThreads)
        }
    }

    private let state: Locked<State>
    private let listener: Listener
    private let logger: Logger

    init(_ listener: Listener, _ pipeline: Pipeline, configuration: Configuration, logger: Logger) {
        self.listener = listener
        state = Locked(State(service: Service(pipeline, configuration)))
        self.logger = logger
    }

    /// Prepares the signal that wakes threads. Must be called before another thread exists: threads inherit the mask.
    static func prepare() {
        // Not by signal(3), which asks for interrupted calls to be restarted: accept has to return.
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in }
        unsafe sigaction(wake, &action, nil)
        allowWake(false)
    }

    /// Serves connections from now on in another way; requests that run go on as they began.
    func change(to pipeline: Pipeline, configuration: Configuration) {
        state.withLock { $0.service = Service(pipeline, configuration) }
    }

    /// Starts the first thread; it starts the others.
    ///
    /// - Throws: when no thread can be started.
    func start() throws(ListenError) {
        let (wanted, possible) = (state.withLock { $0.service.maxThreads }, ProcessResources.maxThreads)
        if possible < wanted {
            logger.warning(
                "the limit of file descriptors (RLIMIT_NOFILE) allows \(possible) of \(wanted) threads; further requests wait"
            )
        }
        do throws(Threads.Shortage) {
            try spawn()
        } catch {
            throw ListenError(description: "cannot start a thread: \(systemError(error.code))")
        }
    }

    /// Starts an accepting thread if an earlier attempt failed, ends surplus idle threads, and notes the end of a shortage. To
    /// be called from time to time.
    ///
    /// - Returns: whether nothing has been accepted since the last call and nothing is left to adjust.
    func adjust() -> Bool {
        let (needsThread, isCalm, isShort) = state.withLock { state in
            state.surplus = max(0, state.leastIdle - Self.maxIdle)
            state.leastIdle = state.idle
            if state.surplus > 0 { wakeAll(state) }
            let isCalm = state.accepted == state.acceptedBefore && state.idle > 0 && state.idle <= Self.maxIdle
            state.acceptedBefore = state.accepted
            return (state.needsThread, isCalm, state.isShort)
        }
        if needsThread { try? spawn() }
        if isShort { endShortage() }
        return isCalm && !isShort
    }

    /// An observation of the accepting threads.
    var accepting: Liveness.Accepting {
        let isWaiting = listener.hasWaiting
        return state.withLock { state in
            Liveness.Accepting(
                isWaiting: isWaiting,
                isExcused: state.idle == 0 && !state.needsThread || state.isStopping
                    || state.isShort && state.idle < state.threads.count,
                accepted: state.accepted)
        }
    }

    /// Lets no new request in; requests that run go on.
    func stop() {
        state.withLock { $0.isStopping = true }
        listener.close()
    }

    /// Wakes the threads that wait in accept and tells whether all have ended.
    ///
    /// To be called again until it returns true: a signal that comes between a thread's look at `isStopping` and its
    /// accept is lost.
    func haveEnded() -> Bool {
        state.withLock { state in
            wakeAll(state)
            return state.threads.isEmpty
        }
    }

    /// To be called under the lock, where a listed thread has not ended: it leaves the list under the same lock. A thread
    /// that does not wait in accept is woken as soon as it does.
    private func wakeAll(_ state: borrowing State) {
        for thread in state.threads { pthread_kill(thread, Self.wake) }
    }

    // MARK: One thread

    private func run() {
        let client = FastCGIConnection(isUnixSocket: listener.isUnixSocket)
        while let (connection, service) = nextConnection() {
            guard client.open(connection, hmacParameter: service.hmacParameter) else { continue }
            service.pipeline.handle(client)
            client.close()
        }
        state.withLock { _ = $0.threads.remove(pthread_self()) }
    }

    /// Starts a thread if one is needed.
    private func spawn() throws(Threads.Shortage) {
        // Under the lock, so that the thread is listed before it can take itself off the list.
        try state.withLock { state throws(Threads.Shortage) in
            guard state.needsThread else { return }
            state.threads.insert(try Threads.start { [self] in run() })
        }
    }

    /// The next connection and its service; nil when this thread has to end.
    private func nextConnection() -> (connection: CInt, service: Service)? {
        state.withLock { $0.idle += 1 }
        let connection = accept()
        let (service, needsThread) = state.withLock { state in
            state.idle -= 1
            state.leastIdle = min(state.leastIdle, state.idle)
            if connection != nil { state.accepted += 1 }
            return (state.service, connection != nil && state.needsThread)
        }
        if needsThread {
            do throws(Threads.Shortage) {
                try spawn()
            } catch {
                logger.warning("cannot start another thread: \(systemError(error.code))")
            }
        }
        return connection.map { ($0, service) }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Whether this thread, which waits in accept, has to end.
    private func isSurplus() -> Bool {
        state.withLock { state in
            guard state.surplus > 0 else { return false }
            state.surplus -= 1
            return true
        }
    }

    private func accept() -> CInt? {
        // Threads are woken here alone: elsewhere the signal would interrupt libfcgi's reads, which take that for an error.
        Self.allowWake(true)
        defer { Self.allowWake(false) }
        while true {
            if listener.isInherited && isStopping { return nil }
            if isHeldBack() { continue }
            if let connection = listener.accept() { return connection }
            let code = errno
            switch code {
            // All but EINTR are errors of the connection, not of the socket (accept(2)).
            case EINTR where isSurplus():
                return nil
            case EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH:
                continue
            // Everything that waited has been accepted.
            case EAGAIN where isStopping, EINVAL where isStopping:
                listener.refuse()
                return nil
            // Another process may share an inherited socket and have made it non-blocking.
            case EAGAIN:
                listener.waitForConnection()
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                noteShortage(systemError(code))
                Self.waitForRoom()
            default:
                // The socket itself is broken: a worker that cannot accept must not look alive.
                logger.critical("cannot accept: \(systemError(code))")
                exit(Self.socketBroken)
            }
        }
    }

    private static func allowWake(_ isAllowed: Bool) {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, wake)
        unsafe pthread_sigmask(isAllowed ? SIG_UNBLOCK : SIG_BLOCK, &signals, nil)
    }

    // MARK: Too few descriptors

    /// While descriptors are short one thread at a time goes on. A thread that waits in accept has taken a descriptor already
    /// (accept(2)), which a running request may need.
    private func isHeldBack() -> Bool {
        let mustWait = state.withLock { state in
            let mustWait = state.isShort && !state.isStopping && state.threads.count - state.heldBack > 1
            if mustWait { state.heldBack += 1 }
            return mustWait
        }
        guard mustWait else { return false }
        Self.waitForRoom()
        state.withLock { $0.heldBack -= 1 }
        return true
    }

    /// A shortage is logged when it begins and when it is over: every thread meets it, again and again.
    private func noteShortage(_ cause: String) {
        let isNews = state.withLock { state in
            defer { state.isShort = true }
            return !state.isShort
        }
        if isNews { logger.warning("cannot accept: \(cause)") }
    }

    private func endShortage() {
        // The number of a descriptor that a thread in accept has taken looks free.
        let threads = state.withLock { $0.threads.count }
        guard ProcessResources.hasFreeDescriptors(Self.enoughDescriptors + threads) else { return }
        state.withLock { $0.isShort = false }
        logger.notice("accepting connections again")
    }

    /// A shortage passes when requests in flight end; asking again at once would only spin.
    private static func waitForRoom() {
        usleep(100_000)
    }
}
