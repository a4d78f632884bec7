/// What one worker has counted: the truth is in this process, and each change is copied to the worker's slot.
///
/// Nothing is read back, so a file that is overwritten or gone takes nothing from the worker: `move(to:)` gives it another. A
/// successor in the slot counts on from `init(continuing:)`, so the counts of an ended worker stay where they are, and no moment
/// exists at which they are in two places or in none. Each write is one word that makes sense by itself, in an order in
/// which a kill after any of them leaves the slot right.
package struct SlotMirror {
    private typealias Slot = ScoreboardLayout.Slot
    private typealias Entry = ScoreboardLayout.CounterEntry
    private typealias Interval = ScoreboardLayout.Interval

    private var region: ScoreboardRegion
    private var words: [UInt64]
    private var entries: [Counter: Int] = [:]
    private var entriesUsed = 0

    /// Takes over what former owners of the region's slot have counted, and says who is there now.
    init(continuing region: ScoreboardRegion, _ worker: WorkerIdentity) {
        self.region = region
        words = region.slotWords(region.slot)
        while entriesUsed < Entry.limit - 1, words[Slot.counters + entriesUsed * Entry.words + Entry.key] != 0 {
            if let counter = SlotView(words).counter(entriesUsed) { entries[counter] = entriesUsed }
            entriesUsed += 1
        }
        set(Slot.inFlight, 0)
        set(Slot.generation, region.generation)
        set(Slot.nonce, region.nonce)
        set(Slot.started, worker.started)
        for (index, word) in PackedText.words(worker.name, count: Slot.nameWords).enumerated() {
            set(Slot.name + index, word)
        }
        for (index, word) in PackedText.words(worker.version, count: Slot.versionWords).enumerated() {
            set(Slot.version + index, word)
        }
    }

    /// Moves to a slot that nobody has counted in, or back to the own slot of before.
    mutating func move(to region: ScoreboardRegion) {
        self.region = region
        words[Slot.generation] = region.generation
        words[Slot.nonce] = region.nonce
        for index in words.indices { region.store(index, words[index]) }
    }

    /// What it has counted.
    var view: SlotView { SlotView(words) }

    /// Completions of this worker that run now.
    var inFlight: Int {
        get { Int(words[Slot.inFlight]) }
        set { set(Slot.inFlight, UInt64(newValue)) }
    }

    /// Adds to a counter.
    package mutating func count(_ counter: Counter, by amount: UInt64 = 1) {
        let entry = entry(of: counter)
        add(Slot.counters + entry * Entry.words + Entry.value, amount)
        add(interval() + Interval.counters + entry, amount)
    }

    /// Adds a duration in nanoseconds.
    package mutating func observe(_ timing: Timing, _ nanoseconds: UInt64) {
        let start = Slot.timings + timing.rawValue * Histogram.words
        let bucket = timing.bucket(of: nanoseconds)
        add(start + bucket, 1)
        add(start + Histogram.maxBuckets, nanoseconds)
        guard let index = Timing.recent.firstIndex(of: timing) else { return }
        add(interval() + Interval.timings + index * Histogram.maxBuckets + bucket, 1)
    }

    /// Keeps a completion in the place of the oldest.
    package mutating func keep(_ completion: Completion) {
        let number = words[Slot.completions] &+ 1
        let start = Slot.ring + Int(number % UInt64(Completion.limit)) * Completion.words
        // A reader that sees 0, or another number after than before, leaves the record out.
        set(start, 0)
        for (index, field) in completion.fields.enumerated() { set(start + 1 + index, field) }
        set(start, number)
        set(Slot.completions, number)
    }

    private mutating func entry(of counter: Counter) -> Int {
        if let entry = entries[counter] { return entry }
        // The last entry is the overflow's.
        let isFull = entriesUsed == Entry.limit - 1
        let kept = isFull ? Counter.overflow : counter
        let entry = entriesUsed
        let start = Slot.counters + entry * Entry.words
        for (index, word) in PackedText.words(kept.code, count: Entry.textWords).enumerated() {
            set(start + Entry.text + index, word)
        }
        set(start + Entry.key, kept.key)
        if !isFull {
            entries[counter] = entry
            entriesUsed += 1
        }
        return entry
    }

    /// The first word of the present minute's interval, emptied if it was another minute's.
    private mutating func interval() -> Int {
        let number = SampleUse.now() / Interval.nanoseconds
        let start = Slot.intervals + Int(number % UInt64(Interval.limit)) * Interval.words
        if words[start + Interval.number] != number {
            set(start + Interval.number, 0)
            for index in 1..<Interval.words where words[start + index] != 0 { set(start + index, 0) }
            set(start + Interval.number, number)
        }
        return start
    }

    private mutating func add(_ index: Int, _ amount: UInt64) { set(index, words[index] &+ amount) }

    private mutating func set(_ index: Int, _ value: UInt64) {
        words[index] = value
        region.store(index, value)
    }
}
