/// The connection that a transfer serves: when it closes, the transfer is pointless.
public protocol HangUpSource: AnyObject {
    /// The socket to watch; nil when there is nothing to watch.
    var descriptor: CInt? { get }
    /// Whether all its input has been read, so that readable can only mean closed.
    var hasReadAll: Bool { get }
}

/// What can end a transfer from outside, and the error that the transfer then ends with.
struct Interruption<Failure: Error> {
    let cancellation: Cancellation
    /// The error of a transfer that has been cancelled.
    let cancelled: Failure
    let peer: any HangUpSource
    /// The error of a transfer that lost its client.
    let hungUp: Failure
}

/// Stops one request from another thread, wherever it waits.
///
/// Safe to call from any thread at any time. Nothing undoes a cancellation.
public final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var waker: MultiHandle.Waker?
    }

    private let state = Locked(State())

    public init() {}

    public var isCancelled: Bool {
        state.withLock { $0.isCancelled }
    }

    public func cancel() {
        state.withLock { state in
            state.isCancelled = true
            state.waker?.wake()
        }
    }

    /// The transfer to wake on cancellation; nil when none is waiting.
    func attach(_ waker: MultiHandle.Waker?) {
        state.withLock { $0.waker = waker }
    }
}
