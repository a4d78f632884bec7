/// A copy of a slot's words, read as what they mean.
struct SlotView {
    private typealias Slot = ScoreboardLayout.Slot
    private typealias Entry = ScoreboardLayout.CounterEntry
    private typealias Interval = ScoreboardLayout.Interval

    private let words: [UInt64]

    init(_ words: [UInt64]) {
        self.words = words
    }

    var inFlight: Int { Int(clamping: words[Slot.inFlight]) }

    var worker: WorkerIdentity {
        WorkerIdentity(
            name: PackedText.string(words[Slot.name..<Slot.name + Slot.nameWords]),
            version: PackedText.string(words[Slot.version..<Slot.version + Slot.versionWords]),
            started: words[Slot.started])
    }

    /// The counter of an entry; nil for an unused one, or what this version does not know.
    func counter(_ entry: Int) -> Counter? {
        let start = Slot.counters + entry * Entry.words
        guard words[start + Entry.key] != 0 else { return nil }
        let text = words[start + Entry.text..<start + Entry.text + Entry.textWords]
        return Counter(key: words[start + Entry.key], code: PackedText.string(text))
    }

    func counters() -> [(counter: Counter, value: UInt64)] {
        (0..<Entry.limit).compactMap { entry in
            counter(entry).map { ($0, words[Slot.counters + entry * Entry.words + Entry.value]) }
        }
    }

    func histogram(_ timing: Timing) -> Histogram {
        let start = Slot.timings + timing.rawValue * Histogram.words
        var histogram = Histogram(timing)
        for bucket in histogram.buckets.indices { histogram.buckets[bucket] = words[start + bucket] }
        histogram.sum = words[start + Histogram.maxBuckets]
        return histogram
    }

    /// The first words of the intervals that began at or after a minute.
    func intervals(since minute: UInt64) -> [Int] {
        (0..<Interval.limit).map { Slot.intervals + $0 * Interval.words }
            .filter { words[$0 + Interval.number] >= minute && words[$0 + Interval.number] != 0 }
    }

    /// The counters of an interval.
    func counters(inInterval start: Int) -> [(counter: Counter, value: UInt64)] {
        (0..<Entry.limit).compactMap { entry in
            let value = words[start + Interval.counters + entry]
            return value == 0 ? nil : counter(entry).map { ($0, value) }
        }
    }

    /// A histogram of an interval, without its sum.
    func histogram(_ timing: Timing, inInterval start: Int) -> Histogram {
        var histogram = Histogram(timing)
        guard let index = Timing.recent.firstIndex(of: timing) else { return histogram }
        let first = start + Interval.timings + index * Histogram.maxBuckets
        for bucket in histogram.buckets.indices { histogram.buckets[bucket] = words[first + bucket] }
        return histogram
    }
}
