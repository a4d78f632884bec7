import CCurl

/// Receives what a transfer brings, on the thread that runs it. An error ends the transfer.
protocol TransferHandler<Failure>: AnyObject {
    associatedtype Failure: Error

    /// Status and headers of the final response (no 1xx), once.
    func receive(head: HTTPResponseHead) throws(Failure)
    func receive(body: RawSpan) throws(Failure)
    /// Everything that had arrived has been received; the transfer is about to wait.
    func receivedAllSoFar() throws(Failure)
    /// Fills the buffer with the next piece of a streamed request body; 0 at its end.
    func sendBody(into buffer: inout MutableRawSpan) throws(Failure) -> Int
}

/// Why a transfer ended early.
enum TransferError<Failure: Error>: Error {
    /// The transfer itself failed.
    case failed(HTTPError)
    /// The handler threw this error, or its interruption happened.
    case stopped(Failure)
}

/// What libcurl's callbacks reach: they are C functions, which know nothing of the type of a handler's error.
protocol Receiver: AnyObject {
    /// - Returns: whether the transfer goes on.
    func receive(headerLine line: RawSpan) -> Bool
    /// - Returns: whether the transfer goes on.
    func receive(body piece: RawSpan) -> Bool
    /// - Returns: the number of bytes; nil when the transfer must not go on.
    func sendBody(into buffer: inout MutableRawSpan) -> Int?
}

/// One attempt at a transfer: its handler, how far the attempt has come, and the error that ended it.
final class Attempt<Handler: TransferHandler>: Receiver {
    private let handler: Handler
    private let maxBodyBytes: Int
    private var parser = HeadParser()
    private var bodyBytes = 0
    private var hasProgressed = false
    /// Whether the peer has sent a byte, of an interim response as well.
    private var hasHeard = false
    private(set) var hasResponse = false
    private(set) var failure: TransferError<Handler.Failure>?
    /// libcurl's verdict, once it has one.
    var result = CURLE_OK

    init(_ handler: Handler, _ maxBodyBytes: Int) {
        self.handler = handler
        self.maxBodyBytes = maxBodyBytes
    }

    /// Whether the connection failed before the peer had sent anything.
    ///
    /// The peer has closed a kept connection while it was idle, or at the moment of its use.
    var hasDiedUnheard: Bool {
        failure == nil && !hasHeard && [CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING].contains(result)
    }

    /// Whether anything has been received or sent since the last call.
    func takeProgress() -> Bool {
        defer { hasProgressed = false }
        return hasProgressed
    }

    func receivedAllSoFar() throws(TransferError<Handler.Failure>) {
        do throws(Handler.Failure) { try handler.receivedAllSoFar() } catch { throw .stopped(error) }
    }

    func receive(headerLine line: RawSpan) -> Bool {
        hasHeard = true
        return attempt { () throws(Handler.Failure) in
            guard let head = parser.add(line) else { return }
            hasResponse = true
            try handler.receive(head: head)
        }
    }

    func receive(body piece: RawSpan) -> Bool {
        bodyBytes += piece.byteCount
        guard bodyBytes <= maxBodyBytes else {
            failure = .failed(.tooLarge(limit: maxBodyBytes))
            return false
        }
        return attempt { () throws(Handler.Failure) in try handler.receive(body: piece) }
    }

    func sendBody(into buffer: inout MutableRawSpan) -> Int? {
        do throws(Handler.Failure) {
            let count = try handler.sendBody(into: &buffer)
            hasProgressed = true
            return count
        } catch {
            failure = .stopped(error)
            return nil
        }
    }

    /// libcurl cannot carry a Swift error: the error is kept for `drive`, and libcurl is told to stop.
    private func attempt(_ step: () throws(Handler.Failure) -> Void) -> Bool {
        do throws(Handler.Failure) {
            try step()
            hasProgressed = true
            return true
        } catch {
            failure = .stopped(error)
            return false
        }
    }
}
