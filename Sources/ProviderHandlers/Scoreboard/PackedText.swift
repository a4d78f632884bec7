/// Short text in 64-bit words.
enum PackedText {
    /// The text's bytes, as many as there is room for.
    static func words(_ text: String, count: Int) -> [UInt64] {
        var words = [UInt64](repeating: 0, count: count)
        for (index, byte) in text.utf8.prefix(count * 8).enumerated() {
            words[index / 8] |= UInt64(byte) << (index % 8 * 8)
        }
        return words
    }

    /// The text, without control characters.
    static func string(_ words: some Sequence<UInt64>) -> String {
        let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
        return ForeignText.excerpt(bytes.prefix { $0 != 0 })
    }
}
