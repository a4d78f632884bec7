import Foundation
import Synchronization

/// Completions that the central system and engine keep waiting, until they are let go.
final class Holding: Sendable {
    private struct State {
        var atCentral: [String: ContinuousClock.Instant] = [:]
        var atEngine: Set<String> = []
        var isCentralOpen = true
        var isEngineOpen = true
    }

    /// A validation has 10 s; after that its client no longer waits.
    private static let patience = Duration.seconds(9)

    private let state = Mutex(State())

    func begin() { state.withLock { $0 = State(isCentralOpen: false, isEngineOpen: false) } }
    func letCentralRespond() { state.withLock { $0.isCentralOpen = true } }
    func letEngineRespond() { state.withLock { $0.isEngineOpen = true } }

    var atCentral: Int {
        state.withLock { state in
            let now = ContinuousClock.now
            return state.atCentral.values.count { now - $0 < Self.patience }
        }
    }

    var atEngine: Int { state.withLock { $0.atEngine.count } }

    /// Blocks the central system until it may respond.
    func waitAtCentral(_ id: String) {
        state.withLock { $0.atCentral[id] = .now }
        while !state.withLock({ $0.isCentralOpen }) { usleep(2000) }
        state.withLock { _ = $0.atCentral.removeValue(forKey: id) }
    }

    /// Blocks the engine until it may go on, with `tick` from time to time.
    func waitAtEngine(_ id: String, _ tick: () throws -> Void) rethrows {
        state.withLock { _ = $0.atEngine.insert(id) }
        defer { state.withLock { _ = $0.atEngine.remove(id) } }
        while !state.withLock({ $0.isEngineOpen }) {
            try tick()
            usleep(20_000)
        }
    }
}
