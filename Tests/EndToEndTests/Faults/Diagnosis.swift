import Synchronization

/// What `provider-reporter doctor` says of a fault while it lasts, in the words of docs/RELIABILITY.md.
final class Diagnosis: Sendable {
    static let notAsked = "–"

    private struct State {
        var isClosed = false
        var words: [String] = []
    }

    private let state = Mutex(State())

    /// Whether the fault has been made once: doctor would say the same again.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func close() { state.withLock { $0.isClosed = true } }

    /// Notes the codes that failed, or where none did, the codes that warned; one examination for each state of the fault.
    func note(_ found: Examination) {
        let (failed, warned) = (found.codes("fail").map { "`\($0)`" }, found.codes("warn").map { "`\($0)` (warn)" })
        let codes = failed.isEmpty ? warned : failed
        let words = codes.isEmpty ? "nothing" : codes.joined(separator: ", ")
        state.withLock { if !$0.words.contains(words) { $0.words.append(words) } }
    }

    var text: String {
        state.withLock { $0.words.isEmpty ? Self.notAsked : $0.words.joined(separator: "; ") }
    }
}
