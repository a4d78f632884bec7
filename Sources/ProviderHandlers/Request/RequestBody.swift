/// A request body on its way to the engine: small ones are read beforehand, larger ones piece by piece.
final class RequestBody {
    /// Up to this many bytes a body is read before the engine is asked, so that a request on a kept connection that
    /// turns out to be dead can be sent again.
    static let smallLimit = 65_536
    static let pieceSize = 65_536
    /// nginx sends the record that ends a body right behind it.
    private static let endLimit = Duration.seconds(1)

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
        // One byte more than is small, or than is declared, so that the end is seen and all input is read.
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
        // libcurl stops asking at the declared length; the record that ends the body is still to be read, and only with
        // everything read does a readable socket mean that the client has left.
        if received == expected { client.drain(within: Self.endLimit) }
        return count
    }

    private func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        let count: Int
        do throws(ClientGone) { count = try client.read(into: &buffer) } catch { throw .clientGone }
        received += count
        guard received <= limit else { throw .refused(.bodyTooLarge(limit: limit)) }
        // What goes beyond the declared length would be another request to an engine that believes in it.
        if let expected, received > expected { throw .refused(.badRequest) }
        // A body shorter than declared was cut off on its way here; the engine must not take it for the whole.
        if client.hasReadAll, let expected, received < expected { throw .clientGone }
        return count
    }
}
