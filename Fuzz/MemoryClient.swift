@testable import ProviderHandlers

/// A client whose request body is given and whose response is kept.
final class MemoryClient: ClientConnection {
    let request: Request
    private var body: ArraySlice<UInt8>
    private(set) var hasReadAll = false
    private(set) var head: HTTPResponseHead?
    private(set) var response: [UInt8] = []
    private(set) var isBrokenOff = false

    init(_ request: Request, body: ArraySlice<UInt8> = []) {
        self.request = request
        self.body = body
    }

    var descriptor: CInt? { nil }

    func read(into buffer: inout MutableRawSpan) throws(Interrupted) -> Int {
        let count = min(body.count, buffer.byteCount)
        for index in 0..<count {
            buffer.storeBytes(of: body[body.startIndex + index], toByteOffset: index, as: UInt8.self)
        }
        body = body.dropFirst(count)
        if count < buffer.byteCount { hasReadAll = true }
        return count
    }

    func drain(within limit: Duration) {
        body = []
        hasReadAll = true
    }

    func send(_ head: HTTPResponseHead) throws(Interrupted) {
        precondition(self.head == nil, "two heads")
        for header in head.headers {
            precondition(!header.name.isEmpty && !header.name.utf8.contains { $0 <= 0x20 || $0 == 0x3A || $0 == 0x7F })
            precondition(!header.value.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F })
        }
        self.head = head
    }

    func send(_ body: RawSpan) throws(Interrupted) {
        precondition(head != nil, "a body before its head")
        body.withUnsafeBytes { response += $0 }
    }

    func flush() throws(Interrupted) {}

    func breakOff() { isBrokenOff = true }
}
