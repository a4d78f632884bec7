/// Where each word of the scoreboard is. Words have 64 bits, in the machine's byte order.
///
/// A change of any number or meaning here takes a new `version`: workers of two layouts then have a file each.
enum ScoreboardLayout {
    static let version = 1
    /// "PCboard" and the version.
    static let magic: UInt64 = 0x5043_626f_6172_6400 | UInt64(version)
    static let maxSlots = 64

    /// The words of the machine, one page.
    enum Head {
        static let magic = 0
        /// Slots from here on were never taken.
        static let slotsUsed = 1
        /// `SharedLock`: on a cache line of its own, as each admission writes it.
        static let lock = 8
        /// `SampleUse`, in the order of its writing.
        static let lastAdmission = 16
        static let sampleTaken = 17
        static let sampleAdmitted = 18
        /// When the times of the GPU's states began to be counted, less the time that was not watched.
        static let gpuOrigin = 24
        /// Nanoseconds in each `GPUCondition`.
        static let gpuTimes = 25
        static let words = 512
    }

    /// The words of one worker, from the beginning of its slot. Only the slot's owner writes them.
    enum Slot {
        static let inFlight = 0
        /// Counts the owners.
        static let generation = 1
        /// A random number of this owner: another value means that the file was overwritten.
        static let nonce = 2
        /// Seconds since 1970.
        static let started = 3
        static let name = 4
        static let nameWords = 4
        static let version = 8
        static let versionWords = 2
        /// How many completions were written to the ring.
        static let completions = 10
        static let counters = 16
        static let timings = counters + CounterEntry.limit * CounterEntry.words
        static let ring = timings + Timing.allCases.count * Histogram.words
        static let intervals = ring + Completion.limit * Completion.words
        static let words = 4096
    }

    /// One counter of a slot.
    enum CounterEntry {
        static let limit = 96
        /// `Counter.key`, not 0; written last.
        static let key = 0
        static let text = 1
        static let textWords = 4
        static let value = 5
        static let words = 6
    }

    /// What happened in one minute: the number of the minute, the counters by their entry, the timings of completions.
    enum Interval {
        static let limit = 16
        static let nanoseconds: UInt64 = 60_000_000_000
        static let number = 0
        static let counters = 1
        static let timings = counters + CounterEntry.limit
        static let words = timings + Timing.recent.count * Histogram.maxBuckets
    }

    /// The size of a scoreboard in words.
    static func words(slots: Int) -> Int { Head.words + slots * Slot.words }

    /// The first word of a slot.
    static func slot(_ index: Int) -> Int { Head.words + index * Slot.words }
}
