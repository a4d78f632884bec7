/// Finds what somebody who misspelt a word most likely meant.
enum Nearest {
    /// The candidate that differs least from the word, or nil when none is near.
    ///
    /// Near is one difference for every three letters. Where none is, a word that was only begun (`warn`) or goes on
    /// (`api_key:abc`) finds the one it has in common.
    static func match(_ word: String, among candidates: [String]) -> String? {
        // Longer than any key or variable there is; the distance takes time that grows with the square.
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
