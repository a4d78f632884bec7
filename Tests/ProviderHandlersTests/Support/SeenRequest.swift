import Synchronization
import TestSupport

/// The last request that a script received.
final class SeenRequest: Sendable {
    private let state = Mutex<(head: HTTPHead, body: String)?>(nil)

    func keep(_ head: HTTPHead, _ body: String) {
        state.withLock { $0 = (head, body) }
    }

    var startLine: String? { state.withLock { $0?.head.startLine } }
    var body: String? { state.withLock { $0?.body } }
    var names: [String] { state.withLock { $0?.head.fields.map { $0.name.lowercased() } ?? [] } }
    func field(_ name: String) -> String? { state.withLock { $0?.head[name] } }
}
