/// Reads the values that nvidia-smi prints; unreadable values become nil.
enum GPUValue {
    /// 1 PiB: more than this is no memory size but an error.
    private static let maxMebibytes = 1 << 30

    static func text(_ text: String) -> String? {
        LoadReading.isNoCounter(text) ? nil : text
    }

    /// `7 %`, also `07 %`; of `10.3 %` the integer part. nil for more than 100 %, also by a fraction.
    static func percent(_ text: String) -> Int? {
        let percent = integerPart(text, unit: "%", limit: 100)
        if percent == 100, text.drop(while: isDigit).contains(where: { ("1"..."9").contains($0) }) { return nil }
        return percent
    }

    /// `24564 MiB`
    static func mebibytes(_ text: String) -> Int? {
        integerPart(text, unit: "MiB", limit: maxMebibytes)
    }

    /// `40 C`
    static func celsius(_ text: String) -> Int? {
        integerPart(text, unit: "C", limit: 1000)
    }

    /// Of `26.84 W` the integer part.
    static func watts(_ text: String) -> Int? {
        integerPart(text, unit: "W", limit: 100_000)
    }

    static func count(_ text: String) -> Int? {
        integerPart(text, unit: "", limit: Int.max)
    }

    private static func integerPart(_ text: String, unit: String, limit: Int) -> Int? {
        let digits = text.prefix(while: isDigit)
        var rest = text[digits.endIndex...]
        if rest.first == "." { rest = rest.dropFirst().drop(while: isDigit) }
        // Int(_:) is nil for no digits and for a number too large for it.
        guard rest.drop(while: { $0 == " " }) == unit, let value = Int(digits), value <= limit else { return nil }
        return value
    }

    private static func isDigit(_ character: Character) -> Bool {
        ("0"..."9").contains(character)
    }
}
