import Synchronization

/// What a script has seen, for the test to look at.
final class SeenTarget: Sendable {
    private let state = Mutex("")

    var target: String {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
