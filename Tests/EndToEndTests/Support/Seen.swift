import Synchronization

/// What a script has seen, for the test to look at.
final class Seen: Sendable {
    private let state = Mutex("")

    var text: String {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

/// Raised once by one thread, seen by others.
final class Flag: Sendable {
    private let state = Atomic(false)

    var isRaised: Bool { state.load(ordering: .relaxed) }

    func raise() { state.store(true, ordering: .relaxed) }
}

/// Counts from 0, one number for each call.
final class Counter: Sendable {
    private let state = Atomic(0)

    var next: Int { state.wrappingAdd(1, ordering: .relaxed).oldValue }
}
