extension Duration {
    /// Whole milliseconds, rounded down; libcurl takes its limits so.
    var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }

    /// For poll(2) and its like: never 0 for a rest that is not over, which would spin.
    ///
    /// Never negative either, which poll takes for "no limit": a rest that was to be computed a moment ago may be over by
    /// now, by as long as the thread did not get to run in between.
    public var pollMilliseconds: CInt { self > .zero ? CInt(clamping: milliseconds + 1) : 0 }

    /// Seconds with their fraction, for texts and JSON.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
