/// Numbers that a seed decides (SplitMix64, by Sebastiano Vigna, public domain).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameter stream: each stream has separate numbers, so that threads do not influence each other.
    init(seed: UInt64, stream: UInt64) {
        state = seed &+ stream &* 0xBF58_476D_1CE4_E5B9
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// One of them, each as often as its weight says.
    mutating func pick<Choice>(_ choices: [(Choice, weight: Int)]) -> Choice {
        var rest = Int.random(in: 0..<choices.reduce(0) { $0 + $1.weight }, using: &self)
        for (choice, weight) in choices {
            if rest < weight { return choice }
            rest -= weight
        }
        return choices[0].0
    }
}
