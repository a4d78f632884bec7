/// What all workers of a machine agree on: places in flight, what a GPU sample has let in, and every counter.
///
/// It is a file that all of them map. A worker whose file cannot be used, or goes bad while it runs, goes on with a scoreboard
/// of its own, and joins the others again when `check` finds that it can.
///
/// Check and claim are one step for threads by a lock of this process, and for processes by a lock in the file (`SharedLock`).
/// The own places are counted in this process, and the file has a copy of them: whatever becomes of the file, this worker
/// lets in no more than its own limit. An admission writes first what makes the next one stricter (`lastAdmission`, the
/// sample, its count), then the place: a worker killed after any of these writes has let nobody in by mistake.
public final class Scoreboard: Sendable {
    private typealias Head = ScoreboardLayout.Head

    /// What `check` found, to be logged.
    public enum Notice: Sendable, Equatable {
        /// A warning: this worker goes on by itself.
        case lost(String)
        /// It shares again.
        case joined(String)
    }

    private struct State {
        var mirror: SlotMirror
        var region: ScoreboardRegion
        /// The region to go back to when the file recovers.
        var former: ScoreboardRegion?
        /// Why the file was left, until `check` has said so.
        var loss: String?
        /// What was last seen of it, so that it never goes back.
        var gpuTimes = [UInt64](repeating: 0, count: GPUCondition.allCases.count)
    }

    private let file: ScoreboardFile?
    private let state: Locked<State>
    private let checks = Locked(())

    /// Joins the machine's scoreboard. When that is impossible, the worker has its own, and `check` says why.
    ///
    /// - Parameter path: of the file, without the layout's version that is added to it; nil keeps it private to this process.
    public init(path: String?, worker: WorkerIdentity) {
        file = path.map { ScoreboardFile($0) }
        var loss: String?
        var region: ScoreboardRegion?
        if let file {
            do throws(ScoreboardProblem) { region = try file.join(isFresh: false) } catch { loss = error.description }
        }
        let joined = region ?? ScoreboardRegion()
        state = Locked(State(mirror: SlotMirror(continuing: joined, worker), region: joined, loss: loss))
    }

    /// Whether other workers see what this one does.
    public var isShared: Bool { state.withLock { $0.region.descriptor != nil } }

    /// Completions of this worker that run now.
    package var ownInFlight: Int { state.withLock { $0.mirror.inFlight } }

    /// Completions of all workers that run now.
    package var inFlight: Int { state.withLock { inFlight($0) } }

    /// Takes a place, unless `judge` refuses it; to be given back with `release`.
    ///
    /// - Parameter judge: gets the machine as it is and returns why not, or nil to admit, with `samples` changed as the
    ///   admission changes it. Runs under the locks, so it must be quick; may be called twice.
    /// - Returns: what `judge` returned.
    package func claim<Reason: Sendable>(_ judge: (inout MachineState) -> Reason?) -> Reason? {
        state.withLock { state in
            judged(&state, judge) { state, samples in
                store(samples, state.region.memory)
                state.mirror.inFlight += 1
            }
        }
    }

    /// What `claim` would return; takes nothing.
    package func look<Reason: Sendable>(_ judge: (inout MachineState) -> Reason?) -> Reason? {
        state.withLock { state in judged(&state, judge) { _, _ in } }
    }

    /// Gives a place back. Needs no lock of the machine: only this worker writes its number.
    package func release() {
        state.withLock { state in
            leaveIfUnsound(&state)
            state.mirror.inFlight -= 1
        }
    }

    /// Counts, observes and keeps what `body` says, in one step for this worker's threads.
    package func record(_ body: (inout SlotMirror) -> Void) {
        state.withLock { state in
            leaveIfUnsound(&state)
            body(&state.mirror)
        }
    }

    /// Counts the time since the last call, of any worker, as the GPU's present condition. To be called about every second.
    public func pass(_ condition: GPUCondition) {
        state.withLock { state in
            guard locked(&state) else { return }
            let memory = state.region.memory
            let times = GPUCondition.allCases.map { memory.load(Head.gpuTimes + $0.rawValue) }
            // The end of the counted time is no word of its own, so that one write counts it and ends it.
            let counted = memory.load(Head.gpuOrigin) &+ times.reduce(0, &+)
            let now = SampleUse.now()
            if now > counted {
                memory.store(Head.gpuTimes + condition.rawValue, times[condition.rawValue] &+ (now - counted))
            }
            state.region.lock.release()
            rememberTimes(&state)
        }
    }

    /// Looks after the file: leaves a file that went bad, and joins again when possible. May take seconds; to be called by one thread
    /// every few seconds.
    ///
    /// - Returns: what has changed since the last call; nil when nothing has.
    public func check() -> Notice? {
        checks.withLock { _ in
            guard let file else { return nil }
            state.withLock { leaveIfUnsound(&$0) }
            let region = state.withLock { $0.region }
            if let descriptor = region.descriptor {
                guard let loss = file.loss(of: descriptor) else { return nil }
                state.withLock { leave(&$0, loss) }
            }
            let isJoined = rejoin(file)
            let loss = state.withLock { state in
                defer { state.loss = nil }
                return state.loss
            }
            return isJoined ? .joined(file, after: loss) : loss.map { .lost(file, $0) }
        }
    }

    /// Everything counted on this machine, of workers that have ended as well.
    public func totals() -> ScoreboardTotals {
        let (region, own, gpuTimes) = state.withLock { state in
            leaveIfUnsound(&state)
            rememberTimes(&state)
            return (state.region, state.mirror.view, state.gpuTimes)
        }
        var totals = ScoreboardTotals(gpuTimes: gpuTimes)
        for slot in 0..<region.slotsUsed {
            let view = slot == region.slot ? own : SlotView(region.slotWords(slot))
            totals.add(view, isAlive: region.isAlive(slot), region.completions(slot))
        }
        return totals
    }

    /// The part of `claim` that it shares with `look`.
    private func judged<Reason: Sendable>(
        _ state: inout State, _ judge: (inout MachineState) -> Reason?, admit: (inout State, SampleUse) -> Void
    ) -> Reason? {
        // A private scoreboard's lock is never held by another.
        while !locked(&state) {}
        defer { state.region.lock.release() }
        var machine = MachineState(inFlight: inFlight(state), samples: samples(state.region.memory))
        if let reason = judge(&machine) {
            // Places of ended workers are looked for only when they may matter: asking the kernel takes a call for each.
            guard freePlaces(of: state) else { return reason }
            machine = MachineState(inFlight: inFlight(state), samples: samples(state.region.memory))
            if let reason = judge(&machine) { return reason }
        }
        admit(&state, machine.samples)
        return nil
    }

    /// Takes the region's lock; false when the region had to be left.
    private func locked(_ state: inout State) -> Bool {
        leaveIfUnsound(&state)
        let region = state.region
        if region.lock.acquire(isAlive: { region.isAlive($0) }) { return true }
        leave(&state, "was overwritten, or locked by a worker that does not run")
        return false
    }

    private func inFlight(_ state: borrowing State) -> Int {
        var count = state.mirror.inFlight
        for slot in 0..<state.region.slotsUsed where slot != state.region.slot {
            count = Int(clamping: UInt64(count) &+ UInt64(state.region.inFlight(slot)))
        }
        return count
    }

    /// - Returns: whether an ended worker had any.
    private func freePlaces(of state: borrowing State) -> Bool {
        var hasFreed = false
        let region = state.region
        for slot in 0..<region.slotsUsed where region.inFlight(slot) > 0 && !region.isAlive(slot) {
            region.freePlaces(slot)
            hasFreed = true
        }
        return hasFreed
    }

    private func samples(_ memory: SharedMemory) -> SampleUse {
        SampleUse(
            lastAdmission: memory.load(Head.lastAdmission), taken: memory.load(Head.sampleTaken),
            admitted: memory.load(Head.sampleAdmitted))
    }

    private func store(_ samples: SampleUse, _ memory: SharedMemory) {
        memory.store(Head.lastAdmission, samples.lastAdmission)
        memory.store(Head.sampleTaken, samples.taken)
        memory.store(Head.sampleAdmitted, samples.admitted)
    }

    private func leaveIfUnsound(_ state: inout State) {
        guard !state.region.isSound(inFlight: state.mirror.inFlight) else { return }
        leave(&state, "was overwritten or truncated")
    }

    private func leave(_ state: inout State, _ loss: String) {
        guard state.region.descriptor != nil else { return }
        // A slot with a foreign number of places must be free, or it would count for good.
        state.former = state.region.isOurs ? state.region : nil
        state.region = ScoreboardRegion()
        state.mirror.move(to: state.region)
        restoreTimes(state.gpuTimes, state.region.memory)
        state.loss = loss
    }

    /// Tries the former region first: its slot has what this worker had counted.
    private func rejoin(_ file: ScoreboardFile) -> Bool {
        var region = state.withLock { $0.former }
        if let former = region, !former.isOurs || former.descriptor.flatMap(file.loss(of:)) != nil { region = nil }
        // Not a slot with counts of an ended worker, which would be lost.
        guard let region = region ?? (try? file.join(isFresh: true)),
            region.lock.acquire(isAlive: { region.isAlive($0) })
        else { return false }
        defer { region.lock.release() }
        state.withLock { state in
            restoreTimes(state.gpuTimes, region.memory)
            state.mirror.move(to: region)
            state.region = region
            state.former = nil
        }
        return true
    }

    /// Makes the times at least what they were.
    private func restoreTimes(_ times: [UInt64], _ memory: SharedMemory) {
        for (index, time) in times.enumerated() {
            let present = memory.load(Head.gpuTimes + index)
            guard time > present else { continue }
            memory.store(Head.gpuOrigin, memory.load(Head.gpuOrigin) &- (time - present))
            memory.store(Head.gpuTimes + index, time)
        }
    }

    private func rememberTimes(_ state: inout State) {
        for index in state.gpuTimes.indices {
            state.gpuTimes[index] = max(state.gpuTimes[index], state.region.memory.load(Head.gpuTimes + index))
        }
    }
}

extension Scoreboard.Notice {
    fileprivate static func lost(_ file: ScoreboardFile, _ loss: String) -> Self {
        .lost("The scoreboard \(file.path) \(loss). This worker admits and counts by itself until it can share one.")
    }

    /// - Parameter loss: when it was not told before.
    fileprivate static func joined(_ file: ScoreboardFile, after loss: String?) -> Self {
        .joined(
            loss.map { "The scoreboard \(file.path) \($0). This worker shares it again." }
                ?? "This worker shares the scoreboard \(file.path) again.")
    }
}
