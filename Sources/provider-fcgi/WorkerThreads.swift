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

    let state: Locked<ThreadState>
    let listener: Listener
    let logger: Logger

    init(_ listener: Listener, _ pipeline: Pipeline, configuration: Configuration, logger: Logger) {
        self.listener = listener
        state = Locked(ThreadState(service: Service(pipeline, configuration)))
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

    /// Starts an accepting thread if an earlier attempt failed, ends surplus idle threads, and holds the reserve of
    /// descriptors again. To be called from time to time.
    ///
    /// - Returns: whether nothing has been accepted since the last call and nothing is left to adjust.
    func adjust() -> Bool {
        if DescriptorReserve.isSpent { DescriptorReserve.fill(besides: state.withLock { $0.threads.count }) }
        let (needsThread, isCalm) = state.withLock { state in
            state.surplus = max(0, state.leastIdle - Self.maxIdle)
            state.leastIdle = state.idle
            if state.surplus > 0 { wakeAll(state) }
            let isCalm = state.accepted == state.acceptedBefore && state.idle > 0 && state.idle <= Self.maxIdle
            state.acceptedBefore = state.accepted
            return (state.needsThread, isCalm && !DescriptorReserve.isSpent)
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
    private func wakeAll(_ state: borrowing ThreadState) {
        for thread in state.threads { pthread_kill(thread, Signals.wake) }
    }

    // MARK: One thread

    fileprivate func run() {
        let client = FastCGIConnection(isUnixSocket: listener.isUnixSocket)
        while let (connection, service) = nextConnection() {
            guard client.open(connection, hmacParameter: service.hmacParameter) else { continue }
            service.pipeline.handle(client)
            client.close()
        }
        state.withLock { _ = $0.threads.remove(pthread_self()) }
    }

    /// - Returns: false when one that is needed cannot be started.
    func spawn() -> Bool {
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
