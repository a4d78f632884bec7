/// What a client asked for, as the metrics tell it.
public enum Endpoint: UInt8, CaseIterable, Sendable {
    case chatCompletions = 1
    case completions
    case health
    case busy
    case other

    /// Its label in the metrics.
    public var label: String {
        switch self {
        case .chatCompletions: "chat_completions"
        case .completions: "completions"
        case .health: "health"
        case .busy: "busy"
        case .other: "other"
        }
    }
}

/// A number that only grows. No associated value may come from a client.
public enum Counter: Hashable, Sendable {
    /// - Parameter code: of the refusal, at most 32 bytes; empty for none.
    case requests(Endpoint, status: Int, code: String)
    case responseBytes(Endpoint)
    case clientDisconnects
    case streamsCut(code: String)

    /// Where requests are counted that found their worker's table full.
    static let overflow = Counter.requests(.other, status: 0, code: "overflow")

    /// The kind, the endpoint and the status; never 0. With `code` it names the counter in the file.
    var key: UInt64 {
        switch self {
        case .requests(let endpoint, let status, _):
            1 | UInt64(endpoint.rawValue) << 8 | UInt64(UInt16(clamping: status)) << 16
        case .responseBytes(let endpoint): 2 | UInt64(endpoint.rawValue) << 8
        case .clientDisconnects: 3
        case .streamsCut: 4
        }
    }

    var code: String {
        switch self {
        case .requests(_, _, let code), .streamsCut(let code): code
        case .responseBytes, .clientDisconnects: ""
        }
    }

    /// nil for what this version does not know.
    init?(key: UInt64, code: String) {
        let endpoint = Endpoint(rawValue: UInt8(truncatingIfNeeded: key >> 8))
        switch (key & 0xFF, endpoint) {
        case (1, let endpoint?): self = .requests(endpoint, status: Int(key >> 16 & 0xFFFF), code: code)
        case (2, let endpoint?): self = .responseBytes(endpoint)
        case (3, _): self = .clientDisconnects
        case (4, _): self = .streamsCut(code: code)
        default: return nil
        }
    }
}
