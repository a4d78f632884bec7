extension Duration {
    /// Whole milliseconds, rounded down, as libcurl takes its limits.
    var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }

    /// For poll(2): never 0 while time is left, which would spin; never negative, which poll takes for "no limit".
    ///
    /// The rest of a deadline can be negative: the thread may not have run since the deadline passed.
    public var pollMilliseconds: CInt { self > .zero ? CInt(clamping: milliseconds + 1) : 0 }

    /// Nanoseconds; 0 for a negative duration.
    var nanoseconds: UInt64 {
        UInt64(clamping: components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }

    /// Seconds with their fraction, for texts and JSON.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

extension Double {
    /// With a fixed number of decimals.
    func formatted(_ decimals: Int) -> String {
        let factor = [1.0, 10, 100, 1000][Swift.min(decimals, 3)]
        let rounded = (Swift.max(0, self) * factor).rounded()
        guard decimals > 0, rounded < 1e15 else { return "\(Int(Swift.min(rounded, 1e15)))" }
        let (whole, rest) = Int(rounded).quotientAndRemainder(dividingBy: Int(factor))
        let digits = String(rest)
        return "\(whole)." + String(repeating: "0", count: Swift.min(decimals, 3) - digits.count) + digits
    }
}
