import Foundation
import Synchronization

/// The engine's record of each completion: at most once, and no longer than its client waited.
final class EngineBook: Sendable {
    private struct State {
        var arrived: [String: ContinuousClock.Instant] = [:]
        /// When their connections were closed, or were broken by a fault.
        var closed: [String: ContinuousClock.Instant] = [:]
        /// When their clients left.
        var left: [String: ContinuousClock.Instant] = [:]
        var twice: [String] = []
    }

    private let ledger: Ledger
    private let state = Mutex(State())

    init(_ ledger: Ledger) {
        self.ledger = ledger
    }

    /// The engine has been sent a completion.
    func arrive(_ id: String) {
        state.withLock { state in
            guard let first = state.arrived.updateValue(.now, forKey: id) else { return }
            // libcurl sends it again on a fresh connection where a kept one has closed without a byte of a response.
            if !ledger.had(.engine, since: first) { state.twice.append(id) }
        }
    }

    /// The engine's connection has ended before its response.
    func close(_ id: String) {
        state.withLock { $0.closed[id] = .now }
    }

    /// The client has left without its response.
    func leave(_ id: String) {
        state.withLock { $0.left[id] = .now }
    }

    /// Completions of clients that left, and the engine's longest work for one of them.
    var abandoned: (count: Int, longest: Duration) {
        state.withLock { state in
            let times = state.left.compactMap { id, left in state.closed[id].map { max(.zero, $0 - left) } }
            return (times.count, times.max() ?? .zero)
        }
    }

    /// To be asked once all is at rest.
    var problems: [String] {
        state.withLock { state in
            let on = state.left.keys.filter { state.arrived[$0] != nil && state.closed[$0] == nil }
            return state.twice.map { "the engine was sent \($0) twice" }
                + on.map { "the engine went on with \($0) after its client had left" }
        }
    }
}
