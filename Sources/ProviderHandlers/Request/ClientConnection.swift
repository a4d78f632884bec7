/// The client's end of one request, by way of nginx. Used by one thread; every call may block.
///
/// Each function that throws does so with `.clientGone` alone: nginx has closed the connection, since its own client left
/// or a time-out passed.
public protocol ClientConnection: HangUpSource {
    var request: Request { get }

    /// Reads the next piece of the request body: fills the buffer, unless the body ends before; 0 at its end.
    func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int

    /// Starts the response. Nothing has to leave before `flush`.
    func send(_ head: HTTPResponseHead) throws(Interrupted)

    func send(_ body: RawSpan) throws(Interrupted)

    /// Makes everything sent so far leave now.
    func flush() throws(Interrupted)

    /// Makes everything sent so far leave now, together with the response's end. Nothing is sent afterwards.
    func finish() throws(Interrupted)

    /// Reads and drops the rest of the request body, for at most about `limit`.
    ///
    /// A FastCGI socket closed with unread input is reset, and nginx then replaces our response by its own page. Input that
    /// cannot be read needs no response: the client has gone.
    func drain(within limit: Duration)

    /// Ends the response so that its reader sees the cut. For a response that cannot carry an error message at its end.
    func breakOff()
}

extension ClientConnection {
    public func finish() throws(Interrupted) { try flush() }
}
