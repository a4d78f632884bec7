/// What one child of `NVMLFeed` has said so far, and whether it is still listened to.
final class ChildRun: Sendable {
    private struct State {
        var lastWord = ContinuousClock.now
        var hasSpoken = false
        var hasWorked = false
        var isMissing = false
        /// Its last word has been passed on: what still comes counts for nothing.
        var isOver = false
    }

    private let state = Locked(State())
    private let report: @Sendable (NVMLWord) -> Void

    init(_ report: @escaping @Sendable (NVMLWord) -> Void) {
        self.report = report
    }

    /// When it last spoke; at first, when it was started.
    var lastWord: ContinuousClock.Instant { state.withLock { $0.lastWord } }
    var hasSpoken: Bool { state.withLock { $0.hasSpoken } }
    /// Whether there was a sample without a GPU in trouble.
    var hasWorked: Bool { state.withLock { $0.hasWorked } }
    /// Whether it found no library.
    var isMissing: Bool { state.withLock { $0.isMissing } }

    /// Takes a line and passes it on.
    func take(_ line: ArraySlice<UInt8>) {
        let word = NVMLWord(line: line)
        state.withLock { state in
            guard !state.isOver else { return }
            state.lastWord = .now
            state.hasSpoken = true
            switch word {
            case .sample(let sample): if sample.gpus.allSatisfy({ $0.fault == nil }) { state.hasWorked = true }
            case .missing:
                state.isMissing = true
                state.isOver = true
            case .failure: state.isOver = true
            }
            // Under the lock: nothing must come after the last word. Whoever is told never calls back.
            report(word)
        }
    }

    /// Passes on that it has come to grief; nothing when its last word is out.
    func fail(_ reason: String) {
        state.withLock { state in
            guard !state.isOver else { return }
            state.isOver = true
            report(.failure(reason))
        }
    }

    /// Notes how it ended. One that ends by itself while a GPU is in trouble wants to be started again.
    func end(_ ending: LimitedProcess.Ending) {
        guard ending != .exited(0) || !hasSpoken else { return }
        fail("NVML's process \(ending.description)")
    }
}
