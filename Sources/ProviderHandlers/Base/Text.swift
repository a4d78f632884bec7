/// Makes text of operators and other programs fit for log lines and messages. The result neither breaks the line nor steers a
/// terminal.
enum ForeignText {
    /// For names and sentences inside a message (Unicode scalars).
    private static let shortLimit = 120
    /// The longest failure of nvidia-smi that is known has 250 characters in two lines.
    private static let maxLines = 4
    /// More than enough for these lines; later bytes are not even decoded.
    private static let maxBytes = 8192

    /// The text with `replacement` for each control character, and for each invisible one: it can turn the direction of the
    /// text that follows.
    ///
    /// - Parameters:
    ///   - limit: of Unicode scalars, since one character can be of any length; an ellipsis stands for the rest. The default
    ///     leaves a path whole.
    ///   - replacement: nil to leave these characters out.
    static func printable(
        _ text: some StringProtocol, limit: Int = 4096, replacement: Unicode.Scalar? = "\u{FFFD}"
    ) -> String {
        let kept = text.unicodeScalars.prefix(limit)
        var result = String.UnicodeScalarView()
        for scalar in kept {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                if let replacement { result.append(replacement) }
            default: result.append(scalar)
            }
        }
        return String(result) + (kept.endIndex == text.unicodeScalars.endIndex ? "" : "…")
    }

    /// The beginning of the text, printable.
    static func short(_ text: some StringProtocol) -> String { printable(text, limit: shortLimit) }

    /// The first lines that are not blank, joined in one, without unprintable characters.
    ///
    /// - Parameter limit: of characters.
    static func excerpt(_ bytes: some Collection<UInt8>, limit: Int = 500) -> String {
        let lines = String(decoding: bytes.prefix(maxBytes), as: UTF8.self).split(whereSeparator: \.isNewline)
            .map { trimmed(printable($0, limit: maxBytes, replacement: nil)) }.filter { !$0.isEmpty }
        return String(lines.prefix(maxLines).joined(separator: "; ").prefix(limit))
    }

    private static func trimmed(_ line: String) -> Substring {
        var words = line.drop(while: \.isWhitespace)
        while words.last?.isWhitespace == true { words.removeLast() }
        return words
    }
}

extension [UInt8] {
    /// Appends a copy of the bytes.
    mutating func append(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { buffer in unsafe append(contentsOf: buffer) }
    }
}
