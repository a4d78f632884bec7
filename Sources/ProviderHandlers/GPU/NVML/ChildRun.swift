/// What one child of `NVMLFeed` has said so far, and whether it is still listened to.
final class ChildRun: Sendable {
    private struct State {
        var lastWord = ContinuousClock.now
        var hasSpoken = false
        var hasWorked = false
        var isMissing = false
        /// Its last whole sample, which the shorter words refer to.
        var sample: GPUSample?
        /// Its last word has been passed on: what still comes counts for nothing.
        var isOver = false
    }

    private let state = Locked(State())
    private let report: @Sendable (NVMLMessage) -> Void

    init(_ report: @escaping @Sendable (NVMLMessage) -> Void) {
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
        let line = NVMLMessage(line: line)
        state.withLock { state in
            guard !state.isOver else { return }
            state.lastWord = .now
            state.hasSpoken = true
            let word = Self.completed(line, state.sample)
            switch word {
            case .sample(let sample): if sample.gpus.allSatisfy({ $0.fault == nil }) { state.hasWorked = true }
            case .load, .alive: break
            case .missing:
                state.isMissing = true
                state.isOver = true
            case .failure: state.isOver = true
            }
            if case .sample(let sample) = line { state.sample = sample }
            // Under the lock: nothing must come after the last message. The receiver never calls back.
            report(word)
        }
    }

    /// The word with what it leaves out: a change of the load becomes a sample.
    private static func completed(_ word: NVMLMessage, _ sample: GPUSample?) -> NVMLMessage {
        switch word {
        case .load(let percents): sample?.with(loads: percents).map { .sample($0) } ?? .nonsense
        case .alive where sample == nil: .nonsense
        default: word
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
