/// Reads the values nvidia-smi prints; what it cannot make sense of is nil.
enum GPUValue {
    /// 1 PiB: more than this is no memory size but an error.
    private static let maxMebibytes = 1 << 30

    /// What nvidia-smi prints where it has nothing to tell.
    private static let placeholders: Set<String> = [
        "", "N/A", "[N/A]", "Not Found", "Not Supported", "[Not Supported]",
    ]

    static func text(_ text: String) -> String? {
        placeholders.contains(text) ? nil : text
    }

    /// `7 %`, also `07 %`; of `10.3 %` the integer part.
    static func percent(_ text: String) -> Int? {
        integerPart(text, unit: "%", limit: 100)
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

    /// The words that stand in place of a utilization when the GPU itself is in trouble; nil for anything else.
    ///
    /// N/A is no trouble: it is what a GPU says that has no such counter.
    static func fault(_ text: String) -> String? {
        let words = text.filter { $0 != "[" && $0 != "]" }
        return faults.contains(words) ? words : nil
    }

    /// nvidia-smi's words for NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED and NVML_ERROR_UNKNOWN.
    private static let faults: Set<String> = [
        "GPU is lost", "GPU requires reset", "Unknown Error", "ERR!",
    ]

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
