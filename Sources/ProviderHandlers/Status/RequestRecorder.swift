/// Counts what came of each request in the scoreboard.
public struct RequestRecorder: Sendable {
    private let scoreboard: Scoreboard

    public init(_ scoreboard: Scoreboard) {
        self.scoreboard = scoreboard
    }

    /// Counts a request that has ended here. A completion that nginx forwards is counted when nginx tells its outcome.
    func record(_ exchange: Exchange) {
        let endpoint = Endpoint(path: exchange.request.path)
        let total = ContinuousClock.now - exchange.started
        scoreboard.record { slot in
            if let asked = exchange.engineAsked { slot.observe(.admission, asked.nanoseconds) }
            if let validation = exchange.validation { slot.observe(validation.timing, validation.duration.nanoseconds) }
            if exchange.isHandedOver { return }
            let hasLeft = exchange.cut == Outcome.clientGone
            Outcome(
                endpoint: endpoint,
                status: hasLeft ? Outcome.clientClosedRequest : exchange.status ?? Outcome.clientClosedRequest,
                code: hasLeft ? Outcome.clientGone : exchange.refusal ?? "",
                bytes: UInt64(exchange.bytesSent), duration: total, firstByte: exchange.firstByte,
                isAdmitted: exchange.isAdmitted, cut: hasLeft ? nil : exchange.cut
            ).record(in: &slot)
        }
    }

    /// Counts a completion that nginx has forwarded.
    func record(_ outcome: Outcome) {
        scoreboard.record { outcome.record(in: &$0) }
    }
}

/// What came of one request.
struct Outcome: Equatable {
    /// nginx's status for a client that left before its response was complete (ngx_http_request.h).
    static let clientClosedRequest = 499
    static let clientGone = "client_gone"

    var endpoint: Endpoint
    var status: Int
    /// The code of a refusal; else empty.
    var code: String
    /// Of the response's body.
    var bytes: UInt64
    var duration: Duration
    var firstByte: Duration?
    /// Whether it is a completion that had a place.
    var isAdmitted: Bool
    /// Why the response ended early, when the client was still there.
    var cut: String?

    func record(in slot: inout SlotMirror) {
        slot.count(.requests(endpoint, status: status, code: code))
        slot.count(.responseBytes(endpoint), by: bytes)
        if code == Self.clientGone { slot.count(.clientDisconnects) }
        if let cut { slot.count(.streamsCut(code: cut)) }
        guard endpoint == .chatCompletions || endpoint == .completions else { return }
        let isChat = endpoint == .chatCompletions
        if isAdmitted {
            slot.observe(isChat ? .chatCompletion : .completion, duration.nanoseconds)
            if let firstByte {
                slot.observe(isChat ? .firstByteOfChatCompletion : .firstByteOfCompletion, firstByte.nanoseconds)
            }
        }
        slot.keep(
            Completion(
                time: UnixTime.milliseconds, endpoint: endpoint, status: status, code: code,
                milliseconds: UInt64(max(0, duration.milliseconds)), bytes: bytes))
    }
}

extension Endpoint {
    init(path: String) {
        self =
            switch path {
            case "/v1/chat/completions": .chatCompletions
            case "/v1/completions": .completions
            case "/health": .health
            case "/busy": .busy
            default: .other
            }
    }
}
