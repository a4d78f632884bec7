import CCurl
import Glibc

/// How a transfer waits.
extension Transfer {
    /// Waits for the connection, a wake-up or the peer's hang-up.
    func wait(_ limit: Duration, _ peer: (any HangUpSource)?) throws(HTTPError) {
        guard let peer, let descriptor = peer.descriptor else {
            try pause(limit)
            return
        }
        guard peer.hasReadAll else {
            // What is unread makes it readable all the time, and curl_multi_poll cannot ask for a hang-up alone: it is
            // looked for between short waits.
            try pause(min(limit, Self.hangUpInterval))
            if Self.hasHungUp(descriptor) { throw .cancelled(.clientGone) }
            return
        }
        // Readable now means closed (or a record to abort).
        if try pause(limit, descriptor) { throw .cancelled(.clientGone) }
    }

    /// Waits for what libcurl waits for and, if given, for a descriptor to be readable; whether it is.
    @discardableResult
    private func pause(_ limit: Duration, _ descriptor: CInt? = nil) throws(HTTPError) -> Bool {
        if let sockets {
            let (code, isReadable) = sockets.poll(limit, descriptor)
            try check(code)
            return isReadable
        }
        var waited = curl_waitfd(fd: descriptor ?? -1, events: Int16(CURL_WAIT_POLLIN), revents: 0)
        try check(unsafe curl_multi_poll(multi, &waited, descriptor == nil ? 0 : 1, limit.pollMilliseconds, nil))
        return waited.revents != 0
    }

    /// Half of the 100 ms in which a client that leaves has to be noticed.
    private static let hangUpInterval = Duration.milliseconds(50)

    private static func hasHungUp(_ descriptor: CInt) -> Bool {
        // POLLRDHUP (poll(2)), which Glibc's module leaves out.
        var polled = pollfd(fd: descriptor, events: 0x2000, revents: 0)
        return unsafe poll(&polled, 1, 0) > 0
    }
}
