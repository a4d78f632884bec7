/// Judges, look after look, whether the worker still does its work; a value, so that it is tested without a clock.
///
/// Only time that was looked at counts. A late look adds two intervals at most: when the machine sleeps, or the process is
/// stopped or starved, the rest of the process stands still too.
public struct Liveness: Sendable {
    /// An observation of the accepting threads.
    public struct Accepting: Sendable {
        /// Whether a connection waits on the listening socket.
        public var isWaiting: Bool
        /// Whether a waiting connection is expected: all permitted threads are at work, or the worker is stopping.
        public var isExcused: Bool
        /// Connections accepted since the start.
        public var accepted: UInt64

        public init(isWaiting: Bool, isExcused: Bool, accepted: UInt64) {
            self.isWaiting = isWaiting
            self.isExcused = isExcused
            self.accepted = accepted
        }
    }

    /// An observation of the GPU sampler.
    public struct Sampling: Sendable {
        /// Runs begun, ended and found to hang since the start.
        public var steps: UInt64
        /// The time from the last step to the next; nil while a run hangs, perhaps forever.
        public var due: Duration?

        public init(steps: UInt64, due: Duration?) {
            self.steps = steps
            self.due = due
        }
    }

    private let interval: Duration
    private let patience: Duration
    private var lastLook: ContinuousClock.Instant?
    private var acceptedBefore: UInt64?
    private var unacceptedFor = Duration.zero
    private var stepsBefore: UInt64?
    private var withoutStepFor = Duration.zero

    /// - Parameters:
    ///   - interval: between two looks.
    ///   - patience: how long a connection may go unaccepted, and a step of the sampler be overdue.
    public init(interval: Duration, patience: Duration) {
        self.interval = interval
        self.patience = patience
    }

    /// Takes in what is seen now.
    ///
    /// - Returns: what does not work any more, for the log; nil when all does.
    public mutating func look(
        at now: ContinuousClock.Instant, _ accepting: Accepting, _ sampling: Sampling
    ) -> String? {
        let elapsed = lastLook.map { min(now - $0, interval * 2) } ?? .zero
        lastLook = now

        // A connection that was not there the last time may have come just now.
        let isLeft = accepting.isWaiting && !accepting.isExcused
        unacceptedFor = isLeft && accepting.accepted == acceptedBefore ? unacceptedFor + elapsed : .zero
        acceptedBefore = isLeft ? accepting.accepted : nil

        withoutStepFor = sampling.steps == stepsBefore ? withoutStepFor + elapsed : .zero
        stepsBefore = sampling.steps

        if unacceptedFor >= patience {
            return "connections wait and none has been accepted for \(Int(unacceptedFor.inSeconds)) s"
        }
        if let due = sampling.due, withoutStepFor >= due + patience {
            return "the GPU sampler has not moved for \(Int(withoutStepFor.inSeconds)) s"
        }
        return nil
    }
}
