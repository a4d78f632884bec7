/// A pause of one task that another thread can cut short.
final class Pause: Sendable {
    private struct State {
        var sleep: Task<Void, Never>?
        var isCut = false
    }

    private let state = Locked(State())

    /// Pauses for `longest`, or for `shortest` when it is cut before or meanwhile; ends early when the task is cancelled.
    func wait(_ shortest: Duration, longest: Duration) async {
        guard (try? await Task.sleep(for: shortest)) != nil else { return }
        let sleep: Task<Void, Never>? = state.withLock { state in
            defer { state.isCut = false }
            guard !state.isCut && longest > shortest else { return nil }
            state.sleep = Task { try? await Task.sleep(for: longest - shortest) }
            return state.sleep
        }
        guard let sleep else { return }
        await withTaskCancellationHandler {
            await sleep.value
        } onCancel: {
            sleep.cancel()
        }
        state.withLock { $0 = State() }
    }

    func cut() {
        state.withLock { state in
            state.isCut = true
            state.sleep?.cancel()
        }
    }
}
