/// Decides whether one more completion may start, and counts those that run.
///
/// Check and count are one step under one lock, so that two requests at the same moment cannot both take the last place.
public final class Admission: Sendable {
    /// The verdict on a GPU sample, and the sample; nil where there is none, as on a machine without GPUs.
    public typealias Reading = (verdict: BusyVerdict, sample: GPULook?)

    private struct State {
        var nextID: UInt64 = 0
        var inFlight: [UInt64: Cancellation] = [:]
        var isClosed = false
        var limit: Int
        var perSample: Int
        /// The newest sample that let a completion in, how many it did, and when it let in the last.
        var sample: GPULook?
        var admitted = 0
        var lastAdmission: ContinuousClock.Instant?
    }

    private let state: Locked<State>
    private let gpu: @Sendable () -> Reading
    private let now: @Sendable () -> ContinuousClock.Instant

    /// - Parameters:
    ///   - limit: completions that may run at once.
    ///   - perSample: completions that one GPU sample lets in, since it shows nothing of those that came after it; 0 is no
    ///     limit.
    ///   - gpu: the verdict on the newest sample; called for every request, so it must be cheap.
    public convenience init(limit: Int, perSample: Int, gpu: @escaping @Sendable () -> Reading) {
        self.init(limit: limit, perSample: perSample, now: { .now }, gpu: gpu)
    }

    /// - Parameter now: the clock that `GPULook.shows` goes by.
    init(
        limit: Int, perSample: Int, now: @escaping @Sendable () -> ContinuousClock.Instant,
        gpu: @escaping @Sendable () -> Reading
    ) {
        state = Locked(State(limit: limit, perSample: perSample))
        self.gpu = gpu
        self.now = now
    }

    /// Changes how many may run at once, and how many a sample lets in. Those that run go on, also when they are more.
    public func change(limit: Int, perSample: Int) {
        state.withLock { ($0.limit, $0.perSample) = (limit, perSample) }
    }

    public var inFlight: Int {
        state.withLock { $0.inFlight.count }
    }

    /// Runs a completion in a place of its own.
    ///
    /// - Throws: the refusal when there is none; or what `body` throws.
    func withPlace<Result>(_ body: (Cancellation) throws(Interrupted) -> Result) throws(Interrupted) -> Result {
        let reading = gpu()
        let admitted: Swift.Result<(id: UInt64, cancellation: Cancellation), Refusal> = state.withLock { state in
            if let refusal = Self.refusal(reading, state) { return .failure(refusal) }
            if let sample = reading.sample {
                let isNew = Self.isNew(sample, state)
                state.sample = isNew ? sample : state.sample
                state.admitted = isNew ? 1 : state.admitted + 1
                state.lastAdmission = now()
            }
            let cancellation = Cancellation()
            // The time to drain passed between the accept and here.
            if state.isClosed { cancellation.cancel() }
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
        let reading = gpu()
        return state.withLock { Self.refusal(reading, $0) }
    }

    /// Whether the GPU by itself keeps the next completion out: what `/health` reports, so that it agrees with `/busy`.
    public var isGPUBusy: Bool {
        let reading = gpu()
        return state.withLock { state in
            Self.refusal(reading.verdict, state) != nil || Self.isUsedUp(reading.sample, state)
        }
    }

    /// Cuts every completion that runs and every one that still starts.
    public func cutAll() {
        let running = state.withLock { state in
            state.isClosed = true
            return Array(state.inFlight.values)
        }
        for cancellation in running { cancellation.cancel() }
    }

    private static func refusal(_ reading: Reading, _ state: borrowing State) -> Refusal? {
        if let refusal = refusal(reading.verdict, state) { return refusal }
        guard state.inFlight.count < state.limit else { return .tooManyInFlight(limit: state.limit) }
        return isUsedUp(reading.sample, state) ? .gpuBusy : nil
    }

    private static func refusal(_ verdict: BusyVerdict, _ state: borrowing State) -> Refusal? {
        if case .unknown = verdict { return .gpuUnknown }
        return verdict.isBusy(inFlight: state.inFlight.count) ? .gpuBusy : nil
    }

    /// Whether the sample has let in as many as it may.
    private static func isUsedUp(_ sample: GPULook?, _ state: borrowing State) -> Bool {
        guard state.perSample > 0, let sample, !isNew(sample, state) else { return false }
        return state.admitted >= state.perSample
    }

    /// Whether the sample can show all that has been let in. Of two requests the one with the older reading may come second.
    private static func isNew(_ sample: GPULook, _ state: borrowing State) -> Bool {
        guard let newest = state.sample, let last = state.lastAdmission else { return true }
        return sample.number > newest.number && sample.shows.map { $0 >= last } ?? true
    }
}
