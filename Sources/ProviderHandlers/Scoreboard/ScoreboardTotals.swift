/// Everything counted on this machine, of workers that have ended as well; read without stopping anybody.
public struct ScoreboardTotals: Sendable {
    /// How many completions are kept in `completions`.
    public static let completionLimit = 50
    /// How far back `recentCounters` and `recentTimings` reach, rounded up to whole minutes.
    public static let recentMinutes: UInt64 = 15

    public private(set) var counters: [Counter: UInt64] = [:]
    public private(set) var timings: [Timing: Histogram] = [:]
    /// The same of the last 15 minutes; of timings only those of completions, without their sums.
    public private(set) var recentCounters: [Counter: UInt64] = [:]
    public private(set) var recentTimings: [Timing: Histogram] = [:]
    /// Nanoseconds.
    public private(set) var gpuTimes: [GPUCondition: UInt64] = [:]
    /// The workers that run.
    public private(set) var workers: [WorkerIdentity] = []
    /// Completions that run now.
    public private(set) var inFlight = 0
    /// The last that ended, the newest first.
    public private(set) var completions: [Completion] = []

    private let sinceMinute: UInt64

    init(gpuTimes: [UInt64]) {
        let minute = SampleUse.now() / ScoreboardLayout.Interval.nanoseconds
        sinceMinute = minute < Self.recentMinutes ? 0 : minute - Self.recentMinutes
        for condition in GPUCondition.allCases { self.gpuTimes[condition] = gpuTimes[condition.rawValue] }
        for timing in Timing.allCases { timings[timing] = Histogram(timing) }
        for timing in Timing.recent { recentTimings[timing] = Histogram(timing) }
    }

    mutating func add(_ view: SlotView, isAlive: Bool, _ completions: [Completion]) {
        if isAlive {
            workers.append(view.worker)
            inFlight = Int(clamping: UInt64(inFlight) &+ UInt64(view.inFlight))
        }
        for (counter, value) in view.counters() { counters[counter, default: 0] &+= value }
        for timing in Timing.allCases { timings[timing]?.add(view.histogram(timing)) }
        for interval in view.intervals(since: sinceMinute) {
            for (counter, value) in view.counters(inInterval: interval) {
                recentCounters[counter, default: 0] &+= value
            }
            for timing in Timing.recent { recentTimings[timing]?.add(view.histogram(timing, inInterval: interval)) }
        }
        self.completions = Array(
            (self.completions + completions).sorted { $0.time > $1.time }.prefix(Self.completionLimit))
    }
}

extension Histogram {
    /// Adds the durations of another histogram with the same bounds.
    mutating func add(_ other: Histogram) {
        for bucket in buckets.indices { buckets[bucket] &+= other.buckets[bucket] }
        sum &+= other.sum
    }
}
