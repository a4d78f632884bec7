/// A request body on its way to the engine: small ones are read beforehand, larger ones piece by piece.
final class RequestBody {
    /// Up to this many bytes a body is read before the engine is asked, so that a request on a kept connection that
    /// turns out to be dead can be sent again.
    static let smallLimit = 65_536
    static let pieceSize = 65_536

    private let client: any Client
    private let limit: Int
    private let expected: Int?
    private var prefix: [UInt8] = []
    private var prefixSent = 0
    private var received = 0

    /// - Parameter limit: largest size in bytes, for bodies whose length is not declared.
    init(_ client: any Client, limit: Int) {
        self.client = client
        self.limit = limit
        expected = client.request.contentLength
    }

    /// Reads the beginning and returns how to send the whole.
    func open() throws(Interrupted) -> HTTPRequest.Body {
        // One byte more than is small, or than is declared, so that the end is seen and all input is read.
        let room = min(expected ?? Self.smallLimit, Self.smallLimit) + 1
        var buffer = [UInt8](repeating: 0, count: room)
        var span = buffer.mutableSpan
        var bytes = unsafe span.mutableBytes
        let count = try read(into: &bytes)
        buffer.removeLast(room - count)
        prefix = buffer
        if count < room {
            guard count > 0 else { throw .refused(.emptyBody) }
            return .bytes(prefix)
        }
        return .stream(length: expected)
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
        // libcurl stops asking at the declared length; the record that ends the body is still to be read, and only with
        // everything read does a readable socket mean that the client has left.
        if received == expected { client.drain() }
        return count
    }

    private func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        let count: Int
        do throws(ClientGone) { count = try client.read(into: &buffer) } catch { throw .clientGone }
        received += count
        guard received <= limit else { throw .refused(.bodyTooLarge(limit: limit)) }
        // A body shorter than declared was cut off on its way here; the engine must not take it for the whole.
        if client.hasReadAll, let expected, received < expected { throw .clientGone }
        return count
    }
}
