import CFastCGI
import Glibc
import Logging
import ProviderHandlers

/// The threads that accept and answer, each one request at a time.
///
/// libfcgi blocks, so a request has a thread to itself. Threads are added when all are busy, up to a limit above
/// `max_in_flight`, so that /health, /busy and refusals always find one; those a burst has left over end.
final class WorkerThreads: Sendable {
    /// Beyond `server.max_in_flight`.
    static let reserve = 16
    /// Threads kept for the next burst, of those that have had nothing to do for a while.
    private static let maxIdle = 32
    /// Frames are shallow; what is not touched costs no memory.
    private static let stackSize = 512 * 1024
    /// EX_OSERR of sysexits(3).
    private static let socketBroken: CInt = 71

    /// What a request gets that is accepted now, for as long as it runs.
    private struct Service {
        let pipeline: Pipeline
        let hmacParameter: String
        let maxThreads: Int

        init(_ pipeline: Pipeline, _ configuration: Configuration) {
            self.pipeline = pipeline
            hmacParameter = FastCGIClient.parameterName(ofHeader: configuration.provider.hmacHeader)
            maxThreads = configuration.server.maxInFlight + WorkerThreads.reserve
        }
    }

    private struct State {
        var service: Service
        var threads: Set<pthread_t> = []
        var idle = 0
        /// The fewest that were idle since the last look: so many were not needed. A thread that ended as soon as others
        /// were idle would be missed by the next request, and starting one costs more than the request does.
        var leastIdle = 0
        /// So many are to end, of those that wait in accept.
        var surplus = 0
        var accepted: UInt64 = 0
        /// The same at the last look.
        var acceptedBefore: UInt64 = 0
        var isStopping = false
        /// Whether accepting waits for descriptors or memory.
        var isShort = false
        /// So many of those that are idle wait until there are descriptors again.
        var heldBack = 0

        /// Whether another thread has to be there for the next connection.
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

    /// Serves what is accepted from now on in another way; requests that run go on as they began.
    func change(to pipeline: Pipeline, configuration: Configuration) {
        state.withLock { $0.service = Service(pipeline, configuration) }
    }

    /// Starts the first thread; it starts the others.
    ///
    /// - Throws: when not even one can be started.
    func start() throws(ListenError) {
        let (wanted, possible) = (state.withLock { $0.service.maxThreads }, ProcessResources.maxThreads)
        if possible < wanted {
            logger.warning(
                "the limit of descriptors (RLIMIT_NOFILE) is enough for \(possible) threads of \(wanted); more requests wait"
            )
        }
        DescriptorReserve.fill(besides: 0)
        guard spawn() else { throw ListenError(description: "cannot start a thread: \(systemError(errno))") }
    }

    /// Starts the thread that waits for the next connection, should one that was needed not have been to be had, ends
    /// those that nobody has needed since the last call, and holds the reserve of descriptors again. To be called from
    /// time to time.
    ///
    /// - Returns: whether nothing has been accepted since the last call and nothing is left to adjust.
    func adjust() -> Bool {
        if DescriptorReserve.isSpent { DescriptorReserve.fill(besides: state.withLock { $0.threads.count }) }
        let isWaiting = listener.hasWaiting
        let (needsThread, isCalm) = state.withLock { state in
            state.surplus = max(0, state.leastIdle - Self.maxIdle)
            state.leastIdle = state.idle
            if state.surplus > 0 { wakeAll(state) }
            let isCalm = state.accepted == state.acceptedBefore && state.idle > 0 && state.idle <= Self.maxIdle
            state.acceptedBefore = state.accepted
            return (state.needsThread, isCalm && !isWaiting && !DescriptorReserve.isSpent)
        }
        if needsThread { _ = spawn() }
        return isCalm
    }

    /// What there is to see of the accepting.
    var accepting: Liveness.Accepting {
        let isWaiting = listener.hasWaiting
        return state.withLock { state in
            Liveness.Accepting(
                isWaiting: isWaiting,
                isExcused: state.idle == 0 && !state.needsThread || state.isStopping
                    || DescriptorReserve.isSpent && state.idle < state.threads.count,
                accepted: state.accepted)
        }
    }

    /// Lets no new request in; those that run go on.
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

    /// To be called under the lock, where a listed thread has not ended: it leaves the list under the same lock. One that
    /// does not wait in accept is woken there as soon as it does.
    private func wakeAll(_ state: borrowing State) {
        for thread in state.threads { pthread_kill(thread, Signals.wake) }
    }

    // MARK: One thread

    fileprivate func run() {
        let client = FastCGIClient(isUnixSocket: listener.isUnixSocket)
        while let (connection, service) = nextConnection() {
            guard client.open(connection, hmacParameter: service.hmacParameter) else { continue }
            service.pipeline.handle(client)
            client.close()
        }
        state.withLock { _ = $0.threads.remove(pthread_self()) }
    }

    /// The next connection and what serves it; nil when this thread is to end.
    private func nextConnection() -> (connection: CInt, service: Service)? {
        state.withLock { $0.idle += 1 }
        let connection = accept()
        let (service, needsThread, isOver) = state.withLock { state in
            state.idle -= 1
            state.leastIdle = min(state.leastIdle, state.idle)
            let wasShort = state.isShort
            if connection != nil {
                state.accepted += 1
                if !DescriptorReserve.isSpent { state.isShort = false }
            }
            return (state.service, connection != nil && state.needsThread, wasShort && !state.isShort)
        }
        if isOver { logger.notice("accepts again") }
        if needsThread && !spawn() {
            logger.warning("no further thread can be started: \(systemError(errno))")
        }
        return connection.map { ($0, service) }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Whether this thread, which waits in accept, is one of those to end.
    private func isSurplus() -> Bool {
        state.withLock { state in
            guard state.surplus > 0 else { return false }
            state.surplus -= 1
            return true
        }
    }

    private func accept() -> CInt? {
        // The wake-up is let in here alone: elsewhere it would interrupt libfcgi's reads, which take that for an error.
        Signals.allowWake(true)
        defer { Signals.allowWake(false) }
        while true {
            if listener.isInherited && isStopping { return nil }
            if DescriptorReserve.isSpent && wasHeldBack() { continue }
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
            // Whoever shares an inherited socket may have made it non-blocking.
            case EAGAIN:
                listener.waitForConnection()
            case EMFILE, ENFILE:
                DescriptorReserve.release()
                waitForRoom(systemError(code))
            case ENOBUFS, ENOMEM:
                waitForRoom(systemError(code))
            default:
                // The socket itself is broken: a worker that answers nobody must not look alive.
                logger.critical("cannot accept: \(systemError(code))")
                exit(Self.socketBroken)
            }
        }
    }

    /// While the reserve of descriptors is spent one thread at a time goes on. More of them would take at once what it was
    /// spent for, as one that waits in accept has its descriptor already; and were there none, nothing might ever be given
    /// back.
    private func wasHeldBack() -> Bool {
        let mustWait = state.withLock { state in
            let mustWait = !state.isStopping && state.threads.count - state.heldBack > 1
            if mustWait { state.heldBack += 1 }
            return mustWait
        }
        guard mustWait else { return false }
        waitForRoom(systemError(EMFILE))
        state.withLock { $0.heldBack -= 1 }
        return true
    }

    /// The shortage passes when requests in flight end; asking again at once would only spin. Said when it begins and when
    /// it is over: every thread meets it, again and again.
    private func waitForRoom(_ shortage: String) {
        let isNews = state.withLock { state in
            defer { state.isShort = true }
            return !state.isShort
        }
        if isNews { logger.warning("cannot accept: \(shortage)") }
        usleep(100_000)
    }

    /// - Returns: false when one that is needed cannot be started.
    private func spawn() -> Bool {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, Self.stackSize)
        let context = unsafe Unmanaged.passRetained(self)
        // Under the lock, so that the thread is listed before it can take itself off the list.
        let code = state.withLock { state in
            // Others may have started the last one meanwhile.
            guard state.needsThread else { return ECANCELED }
            var thread = pthread_t()
            let code = unsafe pthread_create(&thread, &attributes, workerThread, context.toOpaque())
            if code == 0 { state.threads.insert(thread) }
            return code
        }
        if code != 0 {
            unsafe context.release()
            errno = code
        }
        return code == 0 || code == ECANCELED
    }
}

/// A free function: a closure formed in main-actor code would trap on a thread of its own.
private func workerThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    unsafe Unmanaged<WorkerThreads>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
