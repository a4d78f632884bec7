import Synchronization

/// A value that a test and its scripts share.
public final class SharedValue<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    public init(_ value: Value) { state = Mutex(value) }

    public var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

/// Numbers what happens, from 0.
public final class Counter: Sendable {
    private let state = Mutex(0)

    public init() {}

    /// How many numbers it has given away.
    public var value: Int { state.withLock { $0 } }

    public func next() -> Int {
        state.withLock { value in
            defer { value += 1 }
            return value
        }
    }
}
