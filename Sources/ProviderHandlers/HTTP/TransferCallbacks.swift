import CCurl

/// libcurl's callbacks, each on the thread that runs the transfer.
extension Transfer {
    private static func of(_ context: UnsafeMutableRawPointer?) -> Transfer? {
        unsafe context.map { unsafe Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
    }

    func setCallbacks() {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe ccurl_setopt_pointer(easy, CURLOPT_HEADERDATA, context)
        unsafe ccurl_setopt_pointer(easy, CURLOPT_WRITEDATA, context)
        unsafe ccurl_setopt_pointer(easy, CURLOPT_READDATA, context)
        unsafe ccurl_setopt_write(easy, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let transfer = unsafe Transfer.of(context) else { return 0 }
            let line = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
            return transfer.attempt { () throws(HTTPError) in try unsafe transfer.receive(headerLine: line.bytes) }
                ? size * count : 0
        }
        unsafe ccurl_setopt_write(easy, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let transfer = unsafe Transfer.of(context) else { return 0 }
            let body = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
            return transfer.attempt { () throws(HTTPError) in try unsafe transfer.receive(body: body.bytes) }
                ? size * count : 0
        }
        unsafe ccurl_setopt_read(easy, CURLOPT_READFUNCTION) { data, size, count, context in
            guard let data = unsafe data, let transfer = unsafe Transfer.of(context) else { return 0 }
            let buffer = unsafe UnsafeMutableRawBufferPointer(start: data, count: size * count)
            var sent = 0
            let isSent = transfer.attempt { () throws(HTTPError) in
                var span = unsafe buffer.mutableBytes
                sent = try transfer.handler?.sendBody(into: &span) ?? 0
            }
            return isSent ? sent : Int(CURL_READFUNC_ABORT)
        }
    }
}
