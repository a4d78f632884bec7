import CCurl
import Glibc

/// A libcurl multi handle for one transfer at a time: it keeps the connection and waits with a time limit.
///
/// Used by the transfer's thread alone, but for the waker.
@safe final class MultiHandle {
    private let multi: UnsafeMutableRawPointer
    private let isTold: Bool
    /// The sockets that libcurl waits for; empty where libcurl finds the ready sockets itself.
    private var sockets: [curl_waitfd] = []

    /// - Parameter isTold: whether libcurl is told which socket is ready (`curl_multi_socket_action`). Otherwise libcurl asks
    ///   the kernel (`curl_multi_perform`): one system call more for each piece of a response, but 29 KiB less memory.
    init(isTold: Bool) {
        self.isTold = isTold
        // libcurl gives no handle only when memory has run out: nothing can go on then.
        guard let multi = unsafe curl_multi_init() else { fatalError("libcurl: out of memory") }
        unsafe self.multi = unsafe multi
        // One transfer at a time needs one connection; a second would only go stale beside it.
        unsafe ccurl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 1)
        guard isTold else { return }
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe ccurl_multi_setopt_pointer(multi, CURLMOPT_SOCKETDATA, context)
        unsafe ccurl_multi_setopt_socket(multi, CURLMOPT_SOCKETFUNCTION) { _, descriptor, action, context, _ in
            guard let context = unsafe context else { return 0 }
            unsafe Unmanaged<MultiHandle>.fromOpaque(context).takeUnretainedValue().watch(descriptor, action)
            return 0
        }
    }

    deinit {
        // The cleanup closes connections, and would call back.
        unsafe ccurl_multi_setopt_socket(multi, CURLMOPT_SOCKETFUNCTION, nil)
        unsafe curl_multi_cleanup(multi)
    }

    /// Adds the transfer's easy handle, which has to be removed before either handle is freed.
    func add(_ easy: UnsafeMutableRawPointer) {
        unsafe curl_multi_add_handle(multi, easy)
    }

    func remove(_ easy: UnsafeMutableRawPointer) {
        unsafe curl_multi_remove_handle(multi, easy)
    }

    /// Lets libcurl go on with the sockets that `wait` found ready, or else with its timers.
    ///
    /// - Parameter running: the number of transfers that have not ended.
    func act(_ running: inout CInt) -> CURLMcode {
        guard isTold else { return unsafe curl_multi_perform(multi, &running) }
        // libcurl changes the list on the way.
        let ready = sockets.filter { $0.revents != 0 }
        for socket in ready {
            let code = unsafe curl_multi_socket_action(multi, socket.fd, socket.readiness, &running)
            if code != CURLM_OK { return code }
        }
        guard ready.isEmpty else { return CURLM_OK }
        return unsafe curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
    }

    /// The result of the ended transfer; nil before its end.
    func result() -> CURLcode? {
        var queued: CInt = 0
        guard let message = unsafe curl_multi_info_read(multi, &queued) else { return nil }
        return unsafe ccurl_message_result(message)
    }

    /// Waits for libcurl's sockets and timers, for a wake-up and for the peer's hang-up.
    ///
    /// - Returns: libcurl's verdict, and whether the peer has hung up.
    func wait(_ limit: Duration, _ peer: (any HangUpSource)?) -> (CURLMcode, Bool) {
        guard let peer, let descriptor = peer.descriptor else { return poll(limit, nil) }
        // With all input read, readable means closed (or a record to abort).
        if peer.hasReadAll { return poll(limit, descriptor) }
        // Unread input makes the socket readable all the time, and curl_multi_poll cannot ask for a hang-up alone. So
        // the waits are short, with a look for a hang-up after each.
        let (code, _) = poll(min(limit, Self.hangUpInterval), nil)
        return (code, Self.hasHungUp(descriptor))
    }

    /// Half of the 100 ms in which a client that leaves has to be noticed.
    private static let hangUpInterval = Duration.milliseconds(50)

    private static func hasHungUp(_ descriptor: CInt) -> Bool {
        // POLLRDHUP (poll(2)), which Glibc's module leaves out.
        var polled = pollfd(fd: descriptor, events: 0x2000, revents: 0)
        return unsafe Glibc.poll(&polled, 1, 0) > 0
    }

    /// - Returns: libcurl's verdict, and whether the descriptor is readable.
    private func poll(_ limit: Duration, _ descriptor: CInt?) -> (CURLMcode, Bool) {
        var waited = sockets
        for index in waited.indices { waited[index].revents = 0 }
        if let descriptor {
            waited.append(curl_waitfd(fd: descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0))
        }
        let code = unsafe waited.withUnsafeMutableBufferPointer { buffer in
            unsafe curl_multi_poll(multi, buffer.baseAddress, UInt32(buffer.count), limit.pollMilliseconds, nil)
        }
        let isReadable = descriptor != nil && waited.removeLast().revents != 0
        sockets = waited
        return (code, isReadable)
    }

    private func watch(_ descriptor: CInt, _ action: CInt) {
        sockets.removeAll { $0.fd == descriptor }
        guard action != CURL_POLL_REMOVE else { return }
        var events = 0
        if action & CURL_POLL_IN != 0 { events |= Int(CURL_WAIT_POLLIN) }
        if action & CURL_POLL_OUT != 0 { events |= Int(CURL_WAIT_POLLOUT) }
        sockets.append(curl_waitfd(fd: descriptor, events: Int16(events), revents: 0))
    }

    var waker: Waker { unsafe Waker(multi: multi) }

    /// Ends a wait from another thread; to be used only while the multi handle exists.
    ///
    /// `@unchecked Sendable`: the pointer goes to `curl_multi_wakeup` alone ("This function is usable from any thread",
    /// curl_multi_wakeup(3)). `Cancellation` keeps the waker under its lock, from which the transfer takes it back.
    @safe struct Waker: @unchecked Sendable {
        fileprivate let multi: UnsafeMutableRawPointer

        func wake() {
            unsafe curl_multi_wakeup(multi)
        }
    }
}

extension curl_waitfd {
    /// What poll found, in the words of `curl_multi_socket_action`.
    fileprivate var readiness: CInt {
        var bits: CInt = 0
        if revents & Int16(CURL_WAIT_POLLIN) != 0 { bits |= CURL_CSELECT_IN }
        if revents & Int16(CURL_WAIT_POLLOUT) != 0 { bits |= CURL_CSELECT_OUT }
        // A hang-up or an error shows when libcurl reads; curl_multi_poll has no bit for either.
        return bits != 0 ? bits : CURL_CSELECT_ERR
    }
}
