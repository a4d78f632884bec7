import Foundation
import Synchronization
import TestSupport

/// The engine and the central system of the soak: they do what a request asks for, unless a fault is due.
final class FaultyPeers: Sendable {
    /// What happens to one completion.
    enum Fault: String, CaseIterable {
        case reset = "engine resets"
        case closeMidResponse = "engine closes in the middle of its response"
        case hang = "engine hangs"
        case garbage = "engine responds with garbage"
    }

    /// What happens to one validation.
    enum CentralFault: String, CaseIterable {
        case error = "the central system responds with 500"
        case reset = "the central system resets"
        case garbage = "the central system responds with garbage"
        case hang = "the central system hangs"
    }

    private let ledger: Ledger
    private let book: EngineBook
    private let holding = Holding()
    private let due = Mutex<[Fault]>([])
    private let centralDue = Mutex<[CentralFault]>([])

    init(_ ledger: Ledger, _ book: EngineBook) {
        self.ledger = ledger
        self.book = book
    }

    /// Has the next completions meet this.
    func plan(_ fault: Fault, times: Int) {
        ledger.count(fault: fault.rawValue)
        due.withLock { $0 += Array(repeating: fault, count: times) }
    }

    func plan(_ fault: CentralFault, times: Int) {
        ledger.count(fault: fault.rawValue)
        centralDue.withLock { $0 += Array(repeating: fault, count: times) }
    }

    /// Takes back faults that met no request.
    func relent() {
        due.withLock { $0 = [] }
        centralDue.withLock { $0 = [] }
    }

    // MARK: Holding

    /// Holds requests with the HMAC `hold-ID`, first at the central system and then at the engine.
    func hold() { holding.begin() }
    func letCentralRespond() { holding.letCentralRespond() }
    func letEngineRespond() { holding.letEngineRespond() }
    var heldByCentral: Int { holding.atCentral }
    var heldByEngine: Int { holding.atEngine }

    // MARK: The central system

    /// HMACs are `good-ID`, `hold-ID` or `bad-ID`.
    func central(_ request: ScriptedRequest) throws {
        let body = try request.bodyText()
        let id = body.split(separator: "-").last.map { String($0.prefix { $0.isNumber || $0 == "." }) } ?? ""
        let isHeld = body.contains("\"hold-")
        if isHeld { holding.waitAtCentral(id) }
        let isGood = isHeld || body.contains("\"good-")
        if let fault = centralDue.withLock({ $0.popLast() }) {
            ledger.hurt(byCentral: id)
            switch fault {
            case .error: return try request.respond(500, "out of order")
            case .reset: return request.connection.reset()
            case .garbage:
                try request.connection.send("\u{1}\u{2}no HTTP\r\n\r\n")
                return request.closeAfterwards()
            case .hang: return try request.connection.waitForHangUp()
            }
        }
        try isGood ? FakeCentral.valid(request) : request.respond(401, #"{"valid":false,"error":"bad"}"#)
    }

    // MARK: Engine

    /// Bodies are `KIND SIZE ID`, then padding; the size is a number of tokens or of bytes.
    func engine(_ request: ScriptedRequest) throws {
        guard request.method == "POST" else {
            guard request.target == "/v1/models" else { return try request.respond(404, "") }
            return try request.respond(200, #"{"object":"list","data":[{"id":"m"}]}"#)
        }
        let parts = try request.bodyText().prefix(100).split(separator: " ")
        guard parts.count >= 3, let size = Int(parts[1]) else { return try request.respond(400, "{}") }
        let (kind, id) = (parts[0], String(parts[2]))
        book.arrive(id)
        if kind == "hold" { return try heldStream(request, id) }
        let fault = due.withLock { $0.popLast() }
        if fault != nil { ledger.hurt(byEngine: id) }
        // Whatever does not come to its end has been closed, by us or under us.
        var isWhole = false
        defer { if !isWhole { book.close(id) } }
        switch fault {
        case .hang:
            return try request.connection.waitForHangUp()
        case .garbage:
            try request.connection.send([UInt8](repeating: 7, count: 300))
            return request.closeAfterwards()
        default: break
        }
        switch kind {
        case "stream": try stream(request, tokens: size, fault)
        case "unknown": try request.respond(404, #"{"error":{"message":"model not found","code":null}}"#)
        default: try respond(request, bytes: size, id, fault)
        }
        isWhole = fault == nil
    }

    private func heldStream(_ request: ScriptedRequest, _ id: String) throws {
        try request.startStream()
        try holding.waitAtEngine(id) { try request.event("0") }
        try request.event("[DONE]")
        try request.endStream()
    }

    private func stream(_ request: ScriptedRequest, tokens: Int, _ fault: Fault?) throws {
        try request.startStream()
        for token in 0..<tokens {
            if fault != nil && token == tokens / 2 { return end(request, fault) }
            try request.event("\(token)")
            usleep(2000)
        }
        try request.event("[DONE]")
        try request.endStream()
    }

    private func respond(_ request: ScriptedRequest, bytes: Int, _ id: String, _ fault: Fault?) throws {
        let text = "{\"id\":\"\(id)\"}"
        try request.connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(bytes)\r\n\r\n")
        try request.connection.send(text)
        // Bytes: a long string is slow to make without optimization, which would count as the engine's silence.
        try request.connection.send([UInt8](repeating: 0x20, count: bytes / 2 - text.utf8.count))
        if fault != nil { return end(request, fault) }
        try request.connection.send([UInt8](repeating: 0x20, count: bytes - bytes / 2))
    }

    private func end(_ request: ScriptedRequest, _ fault: Fault?) {
        fault == .reset ? request.connection.reset() : request.closeAfterwards()
    }
}
