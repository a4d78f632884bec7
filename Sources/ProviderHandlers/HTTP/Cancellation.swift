import CCurl

/// Why a request was stopped before its end.
public enum CancellationReason: Sendable, Equatable {
    /// nginx closed the FastCGI connection: its client has left.
    case clientGone
    /// The worker stops and the time to drain is over.
    case shutdown
}

/// The connection on whose behalf a transfer runs: when it closes, the transfer has lost its purpose.
public protocol HangUpSource: AnyObject {
    /// The socket to watch; nil when there is nothing to watch.
    var descriptor: CInt? { get }
    /// Whether all its input has been read, so that readable can only mean closed.
    var hasReadAll: Bool { get }
}

/// What can end a transfer before its time: another thread, or the peer it runs for.
struct Interruption {
    var cancellation: Cancellation
    var peer: (any HangUpSource)?
}

/// Stops one request from another thread, wherever it waits.
///
/// The first reason stays. Safe to call from any thread at any time.
public final class Cancellation: Sendable {
    private struct State {
        var reason: CancellationReason?
        var waker: TransferWaker?
    }

    private let state = Locked(State())

    public init() {}

    public var reason: CancellationReason? {
        state.withLock { $0.reason }
    }

    public func cancel(_ reason: CancellationReason) {
        state.withLock { state in
            guard state.reason == nil else { return }
            state.reason = reason
            state.waker?.wake()
        }
    }

    /// The transfer to wake on cancellation; nil when none is waiting.
    func attach(_ waker: TransferWaker?) {
        state.withLock { $0.waker = waker }
    }
}

/// Wakes a transfer that waits in `curl_multi_poll`.
///
/// `@unchecked Sendable`: the pointer is only ever passed to `curl_multi_wakeup`, which libcurl allows from any thread
/// ("This function is usable from any thread", curl_multi_wakeup(3)), and the lock orders that call before
/// `invalidate`, which the owner calls before it frees the handle.
final class TransferWaker: @unchecked Sendable {
    private let multi: Locked<UInt>

    init(_ multi: UnsafeMutableRawPointer) {
        self.multi = Locked(UInt(bitPattern: multi))
    }

    func wake() {
        multi.withLock { address in
            guard let handle = unsafe UnsafeMutableRawPointer(bitPattern: address) else { return }
            unsafe curl_multi_wakeup(handle)
        }
    }

    func invalidate() {
        multi.withLock { $0 = 0 }
    }
}
