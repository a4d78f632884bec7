/// Text of a driver or of its tools, made fit for a log line and an error message.
enum ForeignText {
    /// The longest failure of nvidia-smi that is known has 250 characters in two lines.
    private static let maxLines = 4
    private static let maxCharacters = 500
    /// More than enough to hold them; what comes after is not even decoded.
    private static let maxBytes = 8192

    /// The first lines that are not blank, joined in one, without control characters.
    static func excerpt(_ bytes: some Collection<UInt8>) -> String {
        let lines = String(decoding: bytes.prefix(maxBytes), as: UTF8.self).split(whereSeparator: \.isNewline)
            .map(printable).filter { !$0.isEmpty }
        return String(lines.prefix(maxLines).joined(separator: "; ").prefix(maxCharacters))
    }

    private static func printable(_ line: Substring) -> String {
        let visible = line.unicodeScalars.filter { scalar in
            switch scalar.properties.generalCategory {
            // Invisible ones too: they can turn the direction of what follows.
            case .control, .format: false
            default: true
            }
        }
        let words = String(visible).drop(while: \.isWhitespace)
        return String(
            words.prefix(upTo: words.lastIndex { !$0.isWhitespace }.map(words.index(after:)) ?? words.startIndex))
    }
}
