/// The first problem of the configuration, as one message for the operator.
///
/// The message reads `PLACE: KEY: PROBLEM`, where the place is `file:line` or an environment variable and the problem
/// mostly `expected …, found …`. It never holds the value of a secret.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let description: String
    /// Whether this user may not read a file that another user may read.
    let needsRights: Bool

    /// EX_CONFIG (sysexits(3)).
    public static let exitStatus: Int32 = 78

    /// - Parameter description: the whole message.
    public init(description: String) {
        self.description = description
        needsRights = false
    }

    init(_ place: String, _ key: String?, _ problem: String, needsRights: Bool = false) {
        self.needsRights = needsRights
        description = [place, key, problem].compactMap(\.self).joined(separator: ": ")
    }
}

/// How messages quote an operator's text without showing a secret.
enum Found {
    private static let lengthLimit = 120

    /// Replaces the value of a secret.
    static let secret = "a value that is not shown"

    /// A rejected value in quotes; hidden when it could hold a password.
    static func value(_ text: String) -> String {
        // user:password@host, however misspelt the URL around it is.
        if text.contains("@") && text.contains(":") { return secret + ", since it may hold a password" }
        // A query may hold a token.
        let end = text.firstIndex(of: "?").map(text.index(after:)) ?? text.endIndex
        let shown = ForeignText.short(text[..<end])
        return "\"\(shown)\(end == text.endIndex || shown.hasSuffix("…") ? "" : "…")\""
    }

    /// The part of a key that looks like a key: in `{api_key:abc}`, which lacks a blank, the rest is the value.
    static func key(_ key: String) -> String {
        let name = key.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        let shown = name.prefix(lengthLimit)
        return String(shown) + (shown.endIndex == key.endIndex && !key.isEmpty ? "" : "…")
    }

    /// The kind of a node, without its contents, which do not belong in a message.
    static func kind(of node: YAMLNode) -> String {
        switch node.content {
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// Suggests the right word for a misspelt word.
enum Nearest {
    /// The candidate that differs least from the word, or nil when none is near.
    ///
    /// Near means one difference for every three letters. Without a near candidate, a common beginning counts: `warn`
    /// finds `warning`, and `api_key:abc` finds `api_key`.
    static func match(_ word: String, among candidates: [String]) -> String? {
        // Longer than any key or variable. The time for a distance grows with the square of the length.
        guard !word.isEmpty, word.utf8.count <= 64 else { return nil }
        let letters = Array(word.lowercased().utf8)
        let measured = candidates.map { candidate in
            let other = Array(candidate.lowercased().utf8)
            let distance = distance(letters, other)
            let isNear = distance <= max(1, max(letters.count, other.count) / 3)
            let isBegun = letters.count >= 3 && (other.starts(with: letters) || letters.starts(with: other))
            return (candidate: candidate, distance: distance, isNear: isNear, isBegun: isBegun)
        }
        let near = measured.filter(\.isNear)
        return (near.isEmpty ? measured.filter(\.isBegun) : near).min { $0.distance < $1.distance }?.candidate
    }

    /// How many letters must be added, removed, replaced or swapped with their neighbour (optimal string alignment).
    static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var beforePrevious: [Int] = []
        var previous = Array(0...second.count)
        for row in first.indices {
            var current = [row + 1]
            for column in second.indices {
                var least = min(
                    previous[column] + (first[row] == second[column] ? 0 : 1),
                    previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
                    least = min(least, beforePrevious[column - 1] + 1)
                }
                current.append(least)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[second.count]
    }
}
