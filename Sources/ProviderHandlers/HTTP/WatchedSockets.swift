import CCurl

/// The sockets that a transfer waits for, by libcurl's interface for those who wait themselves.
///
/// `curl_multi_perform` asks the kernel whether a socket is ready although `curl_multi_poll` has just said so;
/// `curl_multi_socket_action` is told. Used by the transfer's thread alone, and freed with the transfer.
@safe final class WatchedSockets {
    private let multi: UnsafeMutableRawPointer
    private var sockets: [curl_waitfd] = []

    init(_ multi: UnsafeMutableRawPointer) {
        unsafe self.multi = unsafe multi
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe ccurl_multi_setopt_pointer(multi, CURLMOPT_SOCKETDATA, context)
        unsafe ccurl_multi_setopt_socket(multi, CURLMOPT_SOCKETFUNCTION) { _, descriptor, action, context, _ in
            guard let context = unsafe context else { return 0 }
            unsafe Unmanaged<WatchedSockets>.fromOpaque(context).takeUnretainedValue().watch(descriptor, action)
            return 0
        }
    }

    /// To be called before the multi handle is freed, which would call back.
    func invalidate() {
        unsafe ccurl_multi_setopt_socket(multi, CURLMOPT_SOCKETFUNCTION, nil)
    }

    /// Lets libcurl go on with the sockets that `poll` found ready, or, when there are none, with what time has brought.
    func act(_ running: inout CInt) -> CURLMcode {
        // The list may change on the way.
        let ready = sockets.filter { $0.revents != 0 }
        for socket in ready {
            let code = unsafe curl_multi_socket_action(multi, socket.fd, socket.readiness, &running)
            if code != CURLM_OK { return code }
        }
        guard ready.isEmpty else { return CURLM_OK }
        return unsafe curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running)
    }

    /// Waits for the sockets, libcurl's timers, a wake-up and, if given, for a descriptor to be readable; whether it is.
    func poll(_ limit: Duration, _ descriptor: CInt?) -> (code: CURLMcode, isReadable: Bool) {
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
}

extension curl_waitfd {
    /// What poll found, in the words of `curl_multi_socket_action`.
    fileprivate var readiness: CInt {
        var bits: CInt = 0
        if revents & Int16(CURL_WAIT_POLLIN) != 0 { bits |= CURL_CSELECT_IN }
        if revents & Int16(CURL_WAIT_POLLOUT) != 0 { bits |= CURL_CSELECT_OUT }
        // A hang-up or an error shows when libcurl reads; curl_multi_poll reports neither by a bit of its own.
        return bits != 0 ? bits : CURL_CSELECT_ERR
    }
}
