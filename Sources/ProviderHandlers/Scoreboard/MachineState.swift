import Glibc

/// What admission knows of the machine, while nobody else may change it.
package struct MachineState: Equatable, Sendable {
    /// Completions that run now, of all workers that live.
    package let inFlight: Int
    /// To be changed by an admission alone.
    package var samples: SampleUse
}

/// What the GPU samples have let in, for the machine. Times are nanoseconds of CLOCK_BOOTTIME, as `ContinuousClock` has; 0 is never.
package struct SampleUse: Equatable, Sendable {
    /// When the last completion was let in.
    package var lastAdmission: UInt64 = 0
    /// When the newest sample that let a completion in was taken.
    package var taken: UInt64 = 0
    /// How many that sample let in.
    package var admitted: UInt64 = 0

    /// The clock of all workers of a machine.
    package static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The same clock's number for an instant, right within the microseconds that starting this process's pair of both took.
    static func time(of instant: ContinuousClock.Instant) -> UInt64 {
        let passed = (instant - pair.instant).components
        return pair.time &+ UInt64(bitPattern: passed.seconds * 1_000_000_000 + passed.attoseconds / 1_000_000_000)
    }

    /// `ContinuousClock` tells differences alone.
    private static let pair = (instant: ContinuousClock.now, time: now())
}

/// What the GPUs of the machine are, as `provider_gpu_state` tells it.
public enum GPUCondition: Int, CaseIterable, Sendable {
    case idle
    case busy
    case unreadable
    case unknown
    /// There are no GPUs.
    case none
}

/// Who holds a slot.
public struct WorkerIdentity: Sendable, Equatable {
    /// At most 32 bytes are kept.
    public var name: String
    /// At most 16 bytes are kept.
    public var version: String
    /// Seconds since 1970.
    public var started: UInt64

    public init(name: String, version: String, started: UInt64) {
        self.name = name
        self.version = version
        self.started = started
    }
}
