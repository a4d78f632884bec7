import Synchronization

/// Decides whether one more completion may start, and counts those that run.
///
/// Check and count are one step under one lock, so that two requests at the same moment cannot both take the last place.
public final class Admission: Sendable {
    private struct State {
        var nextID: UInt64 = 0
        var inFlight: [UInt64: Cancellation] = [:]
        var isClosed = false
        var limit: Int
    }

    private let state: Mutex<State>
    private let gpu: @Sendable () -> BusyVerdict

    /// - Parameters:
    ///   - limit: completions that may run at once.
    ///   - gpu: the verdict on the newest sample; called for every request, so it must be cheap.
    public init(limit: Int, gpu: @escaping @Sendable () -> BusyVerdict) {
        state = Mutex(State(limit: limit))
        self.gpu = gpu
    }

    /// Changes how many may run at once. Those that run go on, also when they are more.
    public func change(limit: Int) {
        state.withLock { $0.limit = limit }
    }

    public var inFlight: Int {
        state.withLock { $0.inFlight.count }
    }

    /// Runs a completion in a place of its own.
    ///
    /// - Throws: the refusal when there is none; or what `body` throws.
    func withPlace<Result>(_ body: (Cancellation) throws(Interrupted) -> Result) throws(Interrupted) -> Result {
        let verdict = gpu()
        let admitted: Swift.Result<(id: UInt64, cancellation: Cancellation), Refusal> = state.withLock { state in
            if let refusal = Self.refusal(verdict, state) { return .failure(refusal) }
            let cancellation = Cancellation()
            // The time to drain passed between the accept and here.
            if state.isClosed { cancellation.cancel(.shutdown) }
            state.nextID += 1
            state.inFlight[state.nextID] = cancellation
            return .success((state.nextID, cancellation))
        }
        switch admitted {
        case .failure(let refusal): throw .refused(refusal)
        case .success(let place):
            defer { state.withLock { _ = $0.inFlight.removeValue(forKey: place.id) } }
            return try body(place.cancellation)
        }
    }

    /// What the next completion would be told; nil when it would be let in.
    var refusal: Refusal? {
        let verdict = gpu()
        return state.withLock { Self.refusal(verdict, $0) }
    }

    /// Cuts every completion that runs and every one that still starts.
    public func cutAll() {
        let running = state.withLock { state in
            state.isClosed = true
            return Array(state.inFlight.values)
        }
        for cancellation in running { cancellation.cancel(.shutdown) }
    }

    private static func refusal(_ verdict: BusyVerdict, _ state: State) -> Refusal? {
        let inFlight = state.inFlight.count
        return switch verdict {
        case .busy: .gpuBusy
        case .unknown: .gpuUnknown
        // No GPU tells its utilization: what we know of its load is what we put on it ourselves.
        case .unreadable where inFlight > 0: .gpuBusy
        case .idle, .unreadable: inFlight < state.limit ? nil : .tooManyInFlight(limit: state.limit)
        }
    }
}

/// Why a request ended without the answer it asked for.
enum Interrupted: Error, Equatable {
    case refused(Refusal)
    case clientGone
}
