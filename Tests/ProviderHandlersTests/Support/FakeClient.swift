import Glibc
import Synchronization

@testable import ProviderHandlers

/// A client of the pipeline, with a given request body, that keeps the response. The fuzzer uses it too.
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
    private let socket: SocketPair?

    /// - Parameter canLeave: false costs no system calls, and `descriptor` is nil.
    init(_ request: Request, body: [UInt8] = [], canLeave: Bool = true) {
        self.request = request
        input = body
        socket = canLeave ? SocketPair() : nil
    }

    var response: Response { responseState.withLock { $0 } }
    var descriptor: CInt? { socket?.near }

    /// What nginx does when its client leaves.
    func leave() {
        socket?.closeFar()
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
        for header in head.headers {
            precondition(!header.name.isEmpty && !header.name.utf8.contains { $0 <= 0x20 || $0 == 0x3A || $0 == 0x7F })
            precondition(!header.value.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F })
        }
        responseState.withLock {
            precondition($0.head == nil, "two heads")
            $0.head = head
        }
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        let bytes = body.withUnsafeBytes { Array($0) }
        responseState.withLock {
            precondition($0.head != nil, "a body before its head")
            $0.body += bytes
        }
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
