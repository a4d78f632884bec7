import Foundation
import Synchronization
import TestSupport

@testable import ProviderHandlers

/// A client whose request body is given and whose response is kept.
///
/// `@unchecked Sendable`: the pipeline uses it on one thread; what tests read from another is under the lock.
final class FakeClient: ClientConnection, @unchecked Sendable {
    struct Response {
        var head: HTTPResponseHead?
        var body: [UInt8] = []
        /// What `flush` has let go.
        var flushed: [UInt8] = []
        var isBrokenOff = false

        var status: Int? { head?.status }
        var text: String { String(decoding: body, as: UTF8.self) }
        func header(_ name: String) -> String? { head?.headers.first(name) }
    }

    let request: Request
    var onFlush: () -> Void = {}
    private(set) var hasReadAll = false
    private var input: [UInt8]
    private let responseState = Mutex(Response())
    private let socket = SocketPair()

    init(_ request: Request, body: [UInt8] = []) {
        self.request = request
        input = body
    }

    var response: Response { responseState.withLock { $0 } }
    var descriptor: CInt? { socket.near }

    /// What nginx does when its client leaves.
    func leave() {
        socket.closeFar()
    }

    func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        let count = min(input.count, buffer.byteCount)
        for index in 0..<count { buffer.storeBytes(of: input[index], toByteOffset: index, as: UInt8.self) }
        input.removeFirst(count)
        if count < buffer.byteCount { hasReadAll = true }
        return count
    }

    func drain(within limit: Duration) {
        input = []
        hasReadAll = true
    }

    func send(_ head: HTTPResponseHead) throws(Interrupted) {
        responseState.withLock { $0.head = head }
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        let bytes = body.withUnsafeBytes { Array($0) }
        responseState.withLock { $0.body += bytes }
    }

    func flush() throws(Interrupted) {
        onFlush()
        responseState.withLock { $0.flushed = $0.body }
    }

    func breakOff() {
        responseState.withLock { $0.isBrokenOff = true }
    }
}

/// Two connected Unix sockets: the near end is watched, the far end is nginx's.
private final class SocketPair: Sendable {
    let near: CInt
    private let far: Mutex<CInt?>

    init() {
        var pair: [CInt] = [0, 0]
        precondition(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
        near = pair[0]
        far = Mutex(pair[1])
    }

    func closeFar() {
        far.withLock { descriptor in
            if let open = descriptor { close(open) }
            descriptor = nil
        }
    }

    deinit {
        closeFar()
        close(near)
    }
}
