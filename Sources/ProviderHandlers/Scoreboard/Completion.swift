/// What is kept of a completion that has ended.
public struct Completion: Sendable, Equatable {
    /// Kept of each worker.
    static let limit = 64
    /// A sequence number, then the fields in their order.
    static let words = 9

    /// Milliseconds since 1970.
    public var time: UInt64
    public var endpoint: Endpoint
    public var status: Int
    /// Of the refusal, at most 32 bytes; empty for none.
    public var code: String
    public var milliseconds: UInt64
    /// Of the response's body.
    public var bytes: UInt64

    public init(time: UInt64, endpoint: Endpoint, status: Int, code: String, milliseconds: UInt64, bytes: UInt64) {
        self.time = time
        self.endpoint = endpoint
        self.status = status
        self.code = code
        self.milliseconds = milliseconds
        self.bytes = bytes
    }

    /// The fields as they are in the file.
    var fields: [UInt64] {
        let kind = UInt64(endpoint.rawValue) | UInt64(UInt16(clamping: status)) << 8
        return [time, kind] + PackedText.words(code, count: 4) + [milliseconds, bytes]
    }

    /// nil for what this version does not know.
    init?(fields: [UInt64]) {
        guard let endpoint = Endpoint(rawValue: UInt8(truncatingIfNeeded: fields[1])) else { return nil }
        self.init(
            time: fields[0], endpoint: endpoint, status: Int(fields[1] >> 8 & 0xFFFF),
            code: PackedText.string(fields[2..<6]), milliseconds: fields[6], bytes: fields[7])
    }
}
