import Foundation
import Synchronization

/// All faults and all outcomes: in the end they have to explain each request.
final class Ledger: Sendable {
    /// How a request ended.
    enum Ending: String, CaseIterable, Comparable {
        case served
        case refused
        case cut
        case cancelled
        case unexplained

        static func < (one: Ending, other: Ending) -> Bool { one.rawValue < other.rawValue }
    }

    /// Something that goes wrong for everybody for a while.
    enum Trouble: Hashable {
        case engine, central, gpu, nginx, worker
        /// The peers did not run, as on a machine with a busy disk or busy processors.
        case standstill
    }

    private struct State {
        var hurtByEngine: Set<String> = []
        var hurtByCentral: Set<String> = []
        /// Open at their end while they last.
        var troubles: [Trouble: [(from: ContinuousClock.Instant, to: ContinuousClock.Instant?)]] = [:]
        var endings: [Ending: Int] = [:]
        var reasons: [String: Int] = [:]
        var faults: [String: Int] = [:]
        var unexplained: [String] = []
    }

    private let state = Mutex(State())

    // MARK: Faults

    func count(fault: String) { state.withLock { $0.faults[fault, default: 0] += 1 } }

    /// A request that the engine has treated badly, by its id.
    func hurt(byEngine id: String) { state.withLock { _ = $0.hurtByEngine.insert(id) } }

    /// The same of the central system.
    func hurt(byCentral id: String) { state.withLock { _ = $0.hurtByCentral.insert(id) } }

    func begin(_ trouble: Trouble) {
        state.withLock { $0.troubles[trouble, default: []].append((.now, nil)) }
    }

    /// - Parameter afterglow: how long it is felt after its end.
    func end(_ trouble: Trouble, afterglow: Duration) {
        state.withLock { state in
            guard let last = state.troubles[trouble]?.indices.last else { return }
            state.troubles[trouble]?[last].to = .now + afterglow
        }
    }

    // MARK: Requests

    /// Whether an engine's failure is explained for a request that began at `start` and has just ended.
    func isEngineToBlame(for id: String, since start: ContinuousClock.Instant) -> Bool {
        state.withLock { $0.hurtByEngine.contains(id) } || had(.engine, since: start)
    }

    func isCentralToBlame(for id: String, since start: ContinuousClock.Instant) -> Bool {
        state.withLock { $0.hurtByCentral.contains(id) } || had(.central, since: start)
    }

    /// Whether the trouble occurred since.
    func had(_ trouble: Trouble, since start: ContinuousClock.Instant) -> Bool {
        state.withLock { state in
            (state.troubles[trouble] ?? []).contains { $0.to.map { $0 >= start } ?? true }
        }
    }

    /// - Parameter reason: for the summary; of what is unexplained, all that is known.
    func note(_ ending: Ending, _ reason: String) {
        state.withLock { state in
            state.endings[ending, default: 0] += 1
            if ending == .unexplained {
                if state.unexplained.count < 20 { state.unexplained.append(reason) }
            } else {
                state.reasons["\(ending.rawValue): \(reason)", default: 0] += 1
            }
        }
    }

    /// The share of all that was served or left by its client, of what was refused for the GPU, and of the rest, in percent.
    var shares: (done: Int, gpu: Int, places: Int) {
        state.withLock { state in
            let total = max(1, state.endings.values.reduce(0, +))
            func sum(_ words: String) -> Int { state.reasons.filter { $0.key.contains(words) }.values.reduce(0, +) }
            let done = (state.endings[.served] ?? 0) + (state.endings[.cancelled] ?? 0)
            return (done * 100 / total, sum(" gpu_") * 100 / total, sum("too_many") * 100 / total)
        }
    }

    var total: Int { state.withLock { $0.endings.values.reduce(0, +) } }

    var unexplained: [String] { state.withLock { $0.unexplained } }

    var summary: String {
        state.withLock { state in
            let endings = Ending.allCases.map { "\($0.rawValue) \(state.endings[$0] ?? 0)" }
            func list(_ counts: [String: Int]) -> [String] {
                counts.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
            }
            return
                (["requests: " + endings.joined(separator: ", ")] + list(state.reasons) + ["faults:"]
                + list(state.faults)).joined(separator: "\n")
        }
    }
}
