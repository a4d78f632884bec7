/// The FastCGI connection broke: nginx has closed it, since its own client left or a time-out passed.
public struct ClientGone: Error, Equatable {
    public init() {}
}

/// The client's end of one request. Used by one thread; every call may block.
public protocol Client: HangUpSource {
    var request: Request { get }

    /// Reads the next piece of the request body: fills the buffer, unless the body ends before; 0 at its end.
    func read(into buffer: inout MutableRawSpan) throws(ClientGone) -> Int

    /// Starts the answer. Nothing has to leave before `flush`.
    func send(_ head: HTTPResponseHead) throws(ClientGone)

    func send(_ body: RawSpan) throws(ClientGone)

    /// Makes everything sent so far leave now.
    func flush() throws(ClientGone)

    /// Makes everything sent so far leave now, together with the answer's end. Nothing is sent afterwards.
    func finish() throws(ClientGone)

    /// Reads and drops what is left of the request body, for at most about `limit`.
    ///
    /// A FastCGI socket closed with unread input is reset, and nginx then answers with a page of its own instead of
    /// ours. What cannot be read needs no answer: the client has gone.
    func drain(within limit: Duration)

    /// Ends the answer so that its reader sees it was cut off. For an answer whose end cannot carry a message.
    func breakOff()
}

extension Client {
    public func finish() throws(ClientGone) { try flush() }
}
