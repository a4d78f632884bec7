import Foundation
import Synchronization
import TestSupport

/// Takes all places at once, first at the central system and then at the engine, which shows a lost place.
///
/// It also leaves each worker with the most kept connections that it can have, so that counts before and after can be
/// compared.
struct PlaceCheck {
    private static let sequence = Atomic(0)

    private let machine: SoakMachine
    private let count: Int

    init(_ machine: SoakMachine) {
        self.machine = machine
        count = SoakMachine.places * SoakMachine.workerCount
    }

    /// Blocks until all have been taken and given back.
    func run() throws {
        let outcomes = Outcomes()
        machine.peers.hold()
        for _ in 0..<count {
            Thread.detachNewThread { [self] in outcomes.add(occupy()) }
        }
        func failures() -> String { "; \(outcomes.all.compactMap(\.self))" }
        try waitUntil("\(count) places are taken", detail: failures) { machine.peers.heldByCentral == count }
        machine.peers.letCentralRespond()
        try waitUntil("\(count) completions run", detail: failures) { machine.peers.heldByEngine == count }
        try waitUntil("one more is refused because all places are taken") {
            let response = try HTTPProbe.fetch(
                port: machine.nginx.port, "POST", "/v1/completions", headers: ["X-Inferoute-HMAC: good-0"],
                body: "json 300 0 ")
            if response.status == 200 { throw NeverHappened(description: "there are more than \(count) places") }
            return response.body.contains("too_many_requests_in_flight")
        }
        // Its connection to the engine is one more; some of these meet each worker.
        for _ in 0..<16 { _ = try HTTPProbe.fetch(port: machine.nginx.port, "GET", "/health") }
        machine.peers.letEngineRespond()
        try waitUntil("all are over") { outcomes.all.count == count }
        guard outcomes.all.allSatisfy({ $0 == nil }) else { throw NeverHappened(description: failures()) }
    }

    /// Asks until there is a place, and to the response's end; the problem, if there is one.
    private func occupy() -> String? {
        while true {
            let id = "0.\(Self.sequence.add(1, ordering: .relaxed).newValue)"
            do {
                let response = try HTTPProbe.fetch(
                    port: machine.nginx.port, "POST", "/v1/completions", headers: ["X-Inferoute-HMAC: hold-\(id)"],
                    body: "hold 0 \(id) ")
                if response.status == 200 {
                    return response.body.hasSuffix("data: [DONE]\n\n") ? nil : "cut: \(response.body)"
                }
                guard response.status == 503 else { return "\(response.status) \(response.body)" }
            } catch {
                return "\(error)"
            }
            usleep(20_000)
        }
    }
}

private final class Outcomes: Sendable {
    private let outcomes = Mutex<[String?]>([])

    var all: [String?] { outcomes.withLock { $0 } }

    func add(_ outcome: String?) { outcomes.withLock { $0.append(outcome) } }
}
