import Synchronization

/// Tells the first request of each connection from later requests.
public final class FirstUses: Sendable {
    private let seen = Mutex<Set<ObjectIdentifier>>([])

    public init() {}

    public func isFirst(_ connection: SocketConnection) -> Bool {
        seen.withLock { $0.insert(ObjectIdentifier(connection)).inserted }
    }
}
