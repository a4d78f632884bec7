import Synchronization

/// How much memory all answers that are held back may take together.
///
/// One alone is bounded by `ResponseRelay.holdLimit`; but as many as run at once, each of that size, would take hundreds of
/// mebibytes, and a process that is denied memory ends.
public final class HeldBytes: Sendable {
    private let limit: Int
    private let used = Atomic(0)

    /// - Parameter limit: in bytes. Answers are a few kilobytes as a rule: 64 MiB are more than any number of them takes.
    public init(limit: Int = 64 * 1024 * 1024) {
        self.limit = limit
    }

    /// Whether so much more may be held; it counts until it is given back.
    func claim(_ bytes: Int) -> Bool {
        guard used.wrappingAdd(bytes, ordering: .relaxed).newValue <= limit else {
            giveBack(bytes)
            return false
        }
        return true
    }

    func giveBack(_ bytes: Int) {
        used.wrappingSubtract(bytes, ordering: .relaxed)
    }
}
