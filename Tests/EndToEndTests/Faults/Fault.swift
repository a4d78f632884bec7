import Foundation
import TestSupport
import Testing

/// A fault, the steps that cause it, and the expected recovery.
struct Fault: Sendable, CustomTestStringConvertible {
    /// The parts of docs/RELIABILITY.md, in order.
    enum Part: String, CaseIterable {
        case engine, central, gpu, machine, processes
    }

    /// What happened, as the document tells it.
    struct Outcome: Equatable {
        let client: String
        let lost: String
        let recovery: String
        /// What doctor said while it lasted.
        var doctor = Diagnosis.notAsked

        init(client: String, lost: String, recovery: String) {
            self.client = client
            self.lost = lost
            self.recovery = recovery
        }

        /// - Parameters:
        ///   - seen: all alike.
        ///   - hasReachedEngine: whether the engine had begun with the requests.
        init(_ seen: [Sighting], hasReachedEngine: Bool, recovery: String) {
            let first = seen.first ?? .other("nothing")
            let isUniform = seen.allSatisfy { $0 == first }
            client = isUniform ? first.text : "differs: " + seen.map(\.text).joined(separator: "; ")
            lost = first.loss(hasReachedEngine: hasReachedEngine)
            self.recovery = recovery
        }
    }

    /// What recovery looks like; each is asserted where it is claimed.
    static let nextRequest = "with the next request"

    let part: Part
    let name: String
    /// Why it cannot be made here; nil where it can.
    let obstacle: @Sendable () -> String?
    /// Whether it takes what CI's machines need not have: elsewhere an obstacle is a failure there.
    let isRare: Bool
    let run: @Sendable () async throws -> Outcome

    init(
        _ part: Part, _ name: String, obstacle: @autoclosure @escaping @Sendable () -> String? = nil,
        isRare: Bool = false, run: @escaping @Sendable () async throws -> Outcome
    ) {
        self.part = part
        self.name = name
        self.obstacle = obstacle
        self.isRare = isRare
        self.run = run
    }

    var testDescription: String { name }

    /// Runs the fault and compares the outcome with the document; with `$WRITE_RELIABILITY` it writes the document.
    func verify() async throws {
        if let obstacle = obstacle() {
            guard !isRare, ProcessInfo.processInfo.environment["CI"] == "true" else {
                try Test.cancel("\(name): \(obstacle)")
            }
            throw NeverHappened(description: "\(name): \(obstacle)")
        }
        let outcome = try await run()
        try FaultDocument.check(self, outcome)
    }
}

extension Fault {
    /// A response that is not HTTP.
    static let garbage: ScriptedServer.Script = { request in
        _ = try request.bodyText()
        try request.connection.send((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 3) })
        request.closeAfterwards()
    }

    /// A fault that lies in what the engine or the central system does with a request, and that is over with the next one.
    ///
    static func scripted(
        _ part: Part, _ name: String, isStream: Bool = false, settings: [String: String] = [:],
        central: @escaping ScriptedServer.Script = FakeCentral.valid,
        engine: @escaping ScriptedServer.Script = FaultRig.good
    ) -> Fault {
        Fault(part, name) {
            let rig = try await FaultRig(central: central, engine: engine) {
                try await Deployment(settings: settings, central: $0, engine: $1)
            }
            return try await rig.outcome {
                let begun = rig.begun
                rig.fault.value = true
                let seen = rig.crowd(isStream: isStream)
                let hasReachedEngine = rig.begun > begun
                try rig.examine(probes: part == .engine)
                rig.fault.value = false
                return Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: nextRequest)
            }
        }
    }
}
