/// The messages of a child of `NVMLFeed` so far; a value.
///
/// Each function gives the message to pass on, nil for none. After a message that ends the child nothing is passed on.
struct NVMLChild {
    /// When it spoke last; at first, when it was started.
    private(set) var lastMessage = ContinuousClock.now
    private(set) var hasSpoken = false
    /// Whether there was a sample without a GPU in trouble.
    private(set) var hasWorked = false
    /// Whether it found no library.
    private(set) var isMissing = false
    /// Its last whole sample, which the shorter messages refer to.
    private var sample: GPUSample?
    private var isOver = false

    /// Takes a line of its standard output.
    mutating func take(_ line: ArraySlice<UInt8>) -> NVMLMessage? {
        guard !isOver else { return nil }
        lastMessage = .now
        hasSpoken = true
        let message = NVMLMessage(line: line)
        let completed = completed(message)
        switch completed {
        case .sample(let sample): if sample.gpus.allSatisfy({ $0.fault == nil }) { hasWorked = true }
        case .load, .alive: break
        case .missing:
            isMissing = true
            isOver = true
        case .failure: isOver = true
        }
        if case .sample(let sample) = message { self.sample = sample }
        return completed
    }

    /// The message with the part that it leaves out: a change of the load becomes a sample.
    private func completed(_ message: NVMLMessage) -> NVMLMessage {
        switch message {
        case .load(let percents): sample?.with(loads: percents).map { .sample($0) } ?? .nonsense
        case .alive where sample == nil: .nonsense
        default: message
        }
    }

    /// Notes that it has failed.
    mutating func fail(_ reason: String) -> NVMLMessage? {
        guard !isOver else { return nil }
        isOver = true
        return .failure(reason)
    }

    /// Notes how it ended. A child that ends by itself while a GPU is in trouble only wants to be started again.
    mutating func end(_ ending: ChildProcess.Ending) -> NVMLMessage? {
        guard ending != .exited(0) || !hasSpoken else { return nil }
        return fail("NVML's process \(ending.description)")
    }
}
