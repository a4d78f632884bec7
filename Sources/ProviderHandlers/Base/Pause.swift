import Dispatch

/// The pauses of one thread, which other threads can cut short or end for good.
final class Pause: Sendable {
    private struct State {
        var isCut = false
        var isEnded = false
    }

    private let state = Locked(State())
    private let changed = DispatchSemaphore(value: 0)

    /// Whether `end` has been called.
    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Pauses for `longest`, or for `shortest` when `cut` is called before or meanwhile.
    ///
    /// - Returns: false, without a pause, once `end` has been called.
    func wait(_ shortest: Duration, longest: Duration) -> Bool {
        let start = ContinuousClock.now
        while true {
            let (rest, isEnded): (Duration, Bool) = state.withLock { state in
                let rest = start + (state.isCut ? shortest : longest) - .now
                if rest <= .zero { state.isCut = false }
                return (rest, state.isEnded)
            }
            guard !isEnded else { return false }
            guard rest > .zero else { return true }
            _ = changed.wait(timeout: .now() + .milliseconds(Int(rest.pollMilliseconds)))
        }
    }

    /// Cuts the pause short that runs, else the next.
    func cut() {
        change { $0.isCut = true }
    }

    /// Ends this pause and every later one.
    func end() {
        change { $0.isEnded = true }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        changed.signal()
    }
}
