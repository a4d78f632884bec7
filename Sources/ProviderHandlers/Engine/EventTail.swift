/// The last bytes of an event stream: enough to tell how it ended.
struct EventTail {
    private static let capacity = 24
    private static let done = Array("data: [DONE]".utf8)

    /// Whether HTTP itself says where the stream ends, so that a cut is an error of the transfer.
    private let isDelimited: Bool
    private var bytes: [UInt8] = []
    /// Whether something came before them.
    private var hasMore = false

    init(isDelimited: Bool) {
        self.isDelimited = isDelimited
    }

    mutating func add(_ piece: RawSpan) {
        let kept = min(piece.byteCount, Self.capacity)
        for offset in (piece.byteCount - kept)..<piece.byteCount {
            bytes.append(unsafe piece.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self))
        }
        if kept < piece.byteCount || bytes.count > Self.capacity { hasMore = true }
        bytes.removeFirst(max(0, bytes.count - Self.capacity))
    }

    /// Whether the stream stopped without its end: only a connection closed in place of a delimiter can hide that, and
    /// then OpenAI's closing `data: [DONE]` is missing.
    var isCut: Bool { !isDelimited && !isDone }

    /// Whether OpenAI's closing event has come: on a line of its own, for a model may write these words too.
    var isDone: Bool {
        bytes.indices.contains { start in
            bytes[start...].starts(with: Self.done)
                && (start == 0 ? !hasMore : bytes[start - 1] == 0x0A || bytes[start - 1] == 0x0D)
        }
    }

    /// Whether an event that is sent now starts on a line of its own, after an empty one.
    var isAtEventStart: Bool {
        bytes.isEmpty || bytes.suffix(2) == [0x0A, 0x0A] || bytes.suffix(4) == [0x0D, 0x0A, 0x0D, 0x0A]
    }
}
