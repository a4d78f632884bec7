@testable import ProviderHandlers

/// A client whose body is given and whose answer is kept.
final class MemoryClient: Client {
    let request: Request
    private var body: ArraySlice<UInt8>
    private(set) var hasReadAll = false
    private(set) var head: HTTPResponseHead?
    private(set) var answer: [UInt8] = []
    private(set) var isBrokenOff = false

    init(_ request: Request, body: ArraySlice<UInt8> = []) {
        self.request = request
        self.body = body
    }

    var descriptor: CInt? { nil }

    func read(into buffer: inout MutableRawSpan) throws(ClientGone) -> Int {
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

    func send(_ head: HTTPResponseHead) throws(ClientGone) {
        precondition(self.head == nil, "two heads")
        for header in head.headers {
            precondition(!header.name.isEmpty && !header.name.utf8.contains { $0 <= 0x20 || $0 == 0x3A || $0 == 0x7F })
            precondition(!header.value.utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F })
        }
        self.head = head
    }

    func send(_ body: RawSpan) throws(ClientGone) {
        precondition(head != nil, "a body before its head")
        body.withUnsafeBytes { answer += $0 }
    }

    func flush() throws(ClientGone) {}

    func breakOff() { isBrokenOff = true }
}
