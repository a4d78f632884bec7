import Glibc
import Logging
import ProviderHandlers

/// How a thread gets its next connection, and what it does when there is no room for one.
extension WorkerThreads {
    /// EX_OSERR of sysexits(3).
    private static let socketBroken: CInt = 71

    /// The next connection and what serves it; nil when this thread is to end.
    func nextConnection() -> (connection: CInt, service: Service)? {
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
        if isOver { logger.notice("accepting connections again") }
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
            // Another process may share an inherited socket and have made it non-blocking.
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
}
