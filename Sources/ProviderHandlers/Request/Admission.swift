/// Decides whether one more completion may start on this machine, and counts those that run.
///
/// Check and count are one step for all threads of all workers (`Scoreboard`), so that two requests at the same moment cannot
/// both take the last place.
public final class Admission: Sendable {
    /// The verdict on a GPU sample, and the sample; nil where there is none, as on a machine without GPUs.
    public typealias Reading = (verdict: BusyVerdict, sample: GPULook?)

    private struct State {
        var nextID: UInt64 = 0
        /// Completions of this worker that run.
        var running: [UInt64: Cancellation] = [:]
        var isClosed = false
        var limit: Int
        var perSample: Int
        /// The newest sample of this worker that let a completion in.
        var sample: GPULook?
    }

    private let state: Locked<State>
    private let scoreboard: Scoreboard
    private let gpu: @Sendable () -> Reading
    private let now: @Sendable () -> ContinuousClock.Instant

    /// - Parameters:
    ///   - limit: completions that may run at once.
    ///   - perSample: completions that one GPU sample lets in, since it shows nothing of later completions; 0 is no limit.
    ///   - scoreboard: what the workers of this machine share.
    ///   - gpu: the verdict on the newest sample; called for every request, so it must be cheap.
    public convenience init(
        limit: Int, perSample: Int, scoreboard: Scoreboard, gpu: @escaping @Sendable () -> Reading
    ) {
        self.init(limit: limit, perSample: perSample, scoreboard: scoreboard, now: { .now }, gpu: gpu)
    }

    /// - Parameter now: the clock that `GPULook` goes by.
    init(
        limit: Int, perSample: Int, scoreboard: Scoreboard, now: @escaping @Sendable () -> ContinuousClock.Instant,
        gpu: @escaping @Sendable () -> Reading
    ) {
        state = Locked(State(limit: limit, perSample: perSample))
        self.scoreboard = scoreboard
        self.gpu = gpu
        self.now = now
    }

    /// Changes the limits of this worker. Completions that run go on, also when they are more than the limit.
    public func change(limit: Int, perSample: Int) {
        state.withLock { ($0.limit, $0.perSample) = (limit, perSample) }
    }

    /// Completions of this worker that run.
    public var inFlight: Int {
        state.withLock { $0.running.count }
    }

    /// Completions of all workers that run.
    public var inFlightOnMachine: Int { scoreboard.inFlight }

    /// Runs a completion in a place of its own.
    ///
    /// - Throws: the refusal when there is no place; or what `body` throws.
    func withPlace<Result>(_ body: (Cancellation) throws(Interrupted) -> Result) throws(Interrupted) -> Result {
        let reading = gpu()
        let admitted: Swift.Result<(id: UInt64, cancellation: Cancellation), Refusal> = state.withLock { state in
            var isNew = false
            if let refusal = scoreboard.claim({ machine in admit(reading, &machine, state, &isNew) }) {
                return .failure(refusal)
            }
            if isNew { state.sample = reading.sample }
            let cancellation = Cancellation()
            // The time to drain passed between the accept and here.
            if state.isClosed { cancellation.cancel() }
            state.nextID += 1
            state.running[state.nextID] = cancellation
            return .success((state.nextID, cancellation))
        }
        switch admitted {
        case .failure(let refusal): throw .refused(refusal)
        case .success(let place):
            defer {
                state.withLock { _ = $0.running.removeValue(forKey: place.id) }
                scoreboard.release()
            }
            return try body(place.cancellation)
        }
    }

    /// The refusal that the next completion would get; nil when it would be let in.
    var refusal: Refusal? {
        let reading = gpu()
        return state.withLock { state in scoreboard.look { Self.refusal(reading, $0, state) } }
    }

    /// Whether the GPU by itself keeps the next completion out: `/health` reports it, so that it agrees with `/busy`.
    public var isGPUBusy: Bool {
        let reading = gpu()
        return state.withLock { state in
            let busy = scoreboard.look { machine in
                Self.refusal(reading.verdict, machine)
                    ?? (Self.isUsedUp(reading.sample, machine, state) ? .gpuBusy : nil)
            }
            return busy != nil
        }
    }

    /// Cuts every completion of this worker that runs, and every completion that still starts.
    public func cutAll() {
        let running = state.withLock { state in
            state.isClosed = true
            return Array(state.running.values)
        }
        for cancellation in running { cancellation.cancel() }
    }

    /// - Parameter isNew: whether the sample is the first to show every earlier admission.
    private func admit(
        _ reading: Reading, _ machine: inout MachineState, _ state: borrowing State, _ isNew: inout Bool
    ) -> Refusal? {
        if let refusal = Self.refusal(reading, machine, state) { return refusal }
        guard let sample = reading.sample else { return nil }
        isNew = Self.isNew(sample, machine, state)
        machine.samples.lastAdmission = SampleUse.time(of: now())
        if isNew, let taken = sample.taken { machine.samples.taken = SampleUse.time(of: taken) }
        machine.samples.admitted = isNew ? 1 : machine.samples.admitted + 1
        return nil
    }

    private static func refusal(_ reading: Reading, _ machine: MachineState, _ state: borrowing State) -> Refusal? {
        if let refusal = refusal(reading.verdict, machine) { return refusal }
        guard machine.inFlight < state.limit else { return .tooManyInFlight(limit: state.limit) }
        return isUsedUp(reading.sample, machine, state) ? .gpuBusy : nil
    }

    private static func refusal(_ verdict: BusyVerdict, _ machine: MachineState) -> Refusal? {
        if case .unknown = verdict { return .gpuUnknown }
        return verdict.isBusy(inFlight: machine.inFlight) ? .gpuBusy : nil
    }

    /// Whether the sample has let in as many completions as it may.
    private static func isUsedUp(_ sample: GPULook?, _ machine: MachineState, _ state: borrowing State) -> Bool {
        guard state.perSample > 0, let sample, !isNew(sample, machine, state) else { return false }
        return machine.samples.admitted >= UInt64(state.perSample)
    }

    /// Whether the sample can show every completion that the machine has admitted. Of two requests the request with the older
    /// reading may come second.
    private static func isNew(_ sample: GPULook, _ machine: MachineState, _ state: borrowing State) -> Bool {
        let samples = machine.samples
        guard samples.lastAdmission > 0 else { return true }
        if let newest = state.sample, sample.number <= newest.number { return false }
        if let shows = sample.shows { return SampleUse.time(of: shows) >= samples.lastAdmission }
        guard let taken = sample.taken, samples.taken > 0 else { return true }
        return SampleUse.time(of: taken) >= samples.taken + sample.spacing.nanoseconds
    }
}
