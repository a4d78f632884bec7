/// A duration of which a histogram is kept.
public enum Timing: Int, CaseIterable, Sendable {
    case chatCompletion
    case completion
    case firstByteOfChatCompletion
    case firstByteOfCompletion
    /// From accept until the engine is asked.
    case admission
    case validHMAC
    case invalidHMAC
    case unavailableHMAC

    /// The durations that are also kept for the last minutes.
    static let recent: [Timing] = [.chatCompletion, .completion, .firstByteOfChatCompletion, .firstByteOfCompletion]

    /// The upper bounds of its buckets in nanoseconds, ascending; one more bucket holds what is above the last.
    public var bounds: [UInt64] {
        switch self {
        case .chatCompletion, .completion, .firstByteOfChatCompletion, .firstByteOfCompletion: Self.long
        case .admission, .validHMAC, .invalidHMAC, .unavailableHMAC: Self.short
        }
    }

    private static let long: [UInt64] = [
        10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    ].map { $0 * 1_000_000 }
    private static let short: [UInt64] = [
        100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000,
    ].map { $0 * 1000 }

    /// The bucket of a duration.
    func bucket(of nanoseconds: UInt64) -> Int {
        bounds.firstIndex { nanoseconds <= $0 } ?? bounds.count
    }
}

/// How many durations were in each bucket of a `Timing`, and their sum.
public struct Histogram: Sendable, Equatable {
    /// More than any `Timing` has.
    static let maxBuckets = 18
    /// The buckets, then the sum.
    static let words = maxBuckets + 1

    /// One for each bound and one for what is above the last; not cumulative.
    public var buckets: [UInt64]
    /// In nanoseconds; 0 where only the buckets were kept.
    public var sum: UInt64 = 0

    public init(_ timing: Timing) {
        buckets = Array(repeating: 0, count: timing.bounds.count + 1)
    }

    /// How many durations it holds.
    public var count: UInt64 { buckets.reduce(0, &+) }

    /// The duration that a share of all stays under, in seconds, as Prometheus' `histogram_quantile` estimates it; nil for no
    /// durations.
    public func quantile(_ share: Double, _ timing: Timing) -> Double? {
        let rank = share * Double(count)
        var below = 0.0
        for (bucket, value) in buckets.enumerated() where value > 0 {
            guard bucket < timing.bounds.count else { break }
            let upper = Double(timing.bounds[bucket]) / 1e9
            let lower = bucket == 0 ? 0 : Double(timing.bounds[bucket - 1]) / 1e9
            if below + Double(value) >= rank { return lower + (upper - lower) * (rank - below) / Double(value) }
            below += Double(value)
        }
        // Above the last bound, nothing more is known.
        return count == 0 ? nil : Double(timing.bounds.last ?? 0) / 1e9
    }
}
