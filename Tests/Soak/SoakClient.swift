import Foundation
import TestSupport

/// A client that sends requests by its seed and records their outcomes.
struct SoakClient {
    enum Kind: CaseIterable {
        case short, stream, longStream, leavesEarly, leavesLate, badHMAC, unknownModel, largeBody, tooLargeBody
        case largeResponse, health, busy
    }

    private static let kinds: [(Kind, weight: Int)] = [
        (.short, 30), (.stream, 20), (.longStream, 6), (.leavesEarly, 5), (.leavesLate, 5), (.badHMAC, 6),
        (.unknownModel, 4), (.largeBody, 3), (.tooLargeBody, 1), (.largeResponse, 1), (.health, 5), (.busy, 14),
    ]

    private let port: Int
    private let ledger: Ledger
    private let book: EngineBook
    private let number: Int
    private var random: SeededRandom
    private var count = 0

    init(port: Int, ledger: Ledger, book: EngineBook, number: Int, seed: UInt64) {
        self.port = port
        self.ledger = ledger
        self.book = book
        self.number = number
        random = SeededRandom(seed: seed, stream: UInt64(number))
    }

    /// A request and its outcome; blocks.
    mutating func ask() {
        count += 1
        let kind = random.pick(Self.kinds)
        let patience = Int.random(in: 0..<20, using: &random)
        let pause = UInt32.random(in: 0..<30_000, using: &random)
        let request = SoakRequest(kind, id: "\(number).\(count)", patience: patience)
        let started = ContinuousClock.now
        let (ending, reason) = request.run(port: port, ledger)
        if ending == .cancelled { book.leave(request.id) }
        let time = ContinuousClock.now - started
        ledger.note(ending, ending == .unexplained ? "\(kind) \(request.id), \(time): \(reason)" : reason)
        // Thinks; a client that does not would only be refused.
        usleep(pause)
    }
}

/// One request of a soak.
struct SoakRequest {
    let kind: SoakClient.Kind
    let id: String
    /// Tokens after which a client that leaves does.
    private let patience: Int
    /// Tokens of a stream that no client reads to the end: 10 s at least.
    static let endless = 5000

    init(_ kind: SoakClient.Kind, id: String, patience: Int) {
        self.kind = kind
        self.id = id
        self.patience = patience
    }

    private var body: String? {
        switch kind {
        case .short, .badHMAC: "json 300 \(id)"
        case .stream: "stream 5 \(id)"
        case .longStream: "stream 200 \(id)"
        // So long that it ends only by being stopped.
        case .leavesEarly, .leavesLate: "stream \(Self.endless) \(id)"
        case .unknownModel: "unknown 0 \(id)"
        case .largeBody: "json 300 \(id) " + String(repeating: "x", count: 2_000_000)
        case .tooLargeBody: "json 300 \(id) " + String(repeating: "x", count: 5_000_000)
        // More than is held back.
        case .largeResponse: "json 10000000 \(id)"
        case .health, .busy: nil
        }
    }

    func run(port: Int, _ ledger: Ledger) -> (Ledger.Ending, String) {
        let started = ContinuousClock.now
        do {
            let target = kind == .health ? "/health" : kind == .busy ? "/busy" : "/v1/chat/completions"
            let hmac = kind == .badHMAC ? "bad" : "good"
            let probe = try HTTPProbe(
                port: port, body == nil ? "GET" : "POST", target,
                headers: ["Content-Type: application/json", "X-Inferoute-HMAC: \(hmac)-\(id)"], body: body)
            if kind == .leavesEarly {
                usleep(UInt32(patience) * 500)
                probe.connection.close()
                return (.cancelled, "before the head")
            }
            return try judge(probe, since: started, ledger)
        } catch {
            return ledger.had(.nginx, since: started) ? (.cut, "nginx is away") : (.unexplained, "\(error)")
        }
    }

    private func judge(
        _ probe: HTTPProbe, since started: ContinuousClock.Instant, _ ledger: Ledger
    ) throws -> (Ledger.Ending, String) {
        let response = try probe.response()
        var text: [UInt8] = []
        var pieces = 0
        do {
            while case let piece = try response.body.next(), !piece.isEmpty {
                text += piece
                pieces += 1
                if kind == .leavesLate && response.status == 200 && pieces > patience {
                    probe.connection.close()
                    return (.cancelled, "in the middle of a stream")
                }
            }
        } catch {
            let isExplained =
                ledger.isEngineToBlame(for: id, since: started) || ledger.had(.nginx, since: started)
                || ledger.had(.worker, since: started)
            return isExplained ? (.cut, "broken off") : (.unexplained, "broken off after \(text.count) bytes")
        }
        return SoakResponse(response, String(decoding: text, as: UTF8.self)).judged(for: self, since: started, ledger)
    }
}
