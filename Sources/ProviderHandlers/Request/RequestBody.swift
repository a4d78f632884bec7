/// A request body on its way to the engine: a small body is read beforehand, a larger one piece by piece.
final class RequestBody {
    /// A body up to this size (bytes) is read before the engine is asked. The request can then be sent again if a kept
    /// connection is dead.
    static let smallLimit = 65_536
    static let pieceSize = 65_536
    /// nginx sends the record that ends a body right behind the body.
    private static let endLimit = Duration.seconds(1)

    private let client: any ClientConnection
    private let limit: Int
    private let expected: Int?
    private var prefix: [UInt8] = []
    private var prefixSent = 0
    private var received = 0

    /// - Parameter limit: largest size in bytes, for bodies without a declared length.
    init(_ client: any ClientConnection, limit: Int) {
        self.client = client
        self.limit = limit
        expected = client.request.contentLength
    }

    /// Judges the size as far as it is known beforehand: a declared length, or whether there is a body at all.
    func checkSize() throws(Interrupted) {
        if client.request.isMalformed { throw .refused(.badRequest) }
        if let expected {
            if expected > limit { throw .refused(.bodyTooLarge(limit: limit)) }
            if expected == 0 { throw .refused(.emptyBody) }
        } else {
            prefix = try read(upTo: 1)
            if prefix.isEmpty { throw .refused(.emptyBody) }
        }
    }

    /// Reads the beginning and returns how to send the whole.
    func open() throws(Interrupted) -> HTTPRequest.Body {
        // One byte more than the size, so that the end is seen and all input is read.
        let room = min(expected ?? Self.smallLimit, Self.smallLimit) + 1
        prefix += try read(upTo: room - prefix.count)
        return prefix.count < room ? .bytes(prefix) : .stream(length: expected)
    }

    private func read(upTo count: Int) throws(Interrupted) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        var span = buffer.mutableSpan
        var bytes = unsafe span.mutableBytes
        let received = try read(into: &bytes)
        buffer.removeLast(count - received)
        return buffer
    }

    /// The next piece of a streamed body; 0 at its end.
    func next(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        if prefixSent < prefix.count {
            let count = min(prefix.count - prefixSent, buffer.byteCount)
            for index in 0..<count {
                buffer.storeBytes(of: prefix[prefixSent + index], toByteOffset: index, as: UInt8.self)
            }
            prefixSent += count
            if prefixSent == prefix.count { (prefix, prefixSent) = ([], 0) }
            return count
        }
        let count = try read(into: &buffer)
        // libcurl stops asking at the declared length, before the record that ends the body has been read. A readable
        // socket means that the client has left only once everything has been read.
        if received == expected { client.drain(within: Self.endLimit) }
        return count
    }

    private func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        let count = try client.read(into: &buffer)
        received += count
        guard received <= limit else { throw .refused(.bodyTooLarge(limit: limit)) }
        // To an engine, bytes beyond the declared length would be another request.
        if let expected, received > expected { throw .refused(.badRequest) }
        // A body shorter than declared was cut off on its way here; the engine must not take it for whole.
        if client.hasReadAll, let expected, received < expected { throw .clientGone }
        return count
    }
}
