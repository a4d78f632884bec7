/// Why a scoreboard cannot be shared; described as what follows its path.
struct ScoreboardProblem: Error, CustomStringConvertible, Equatable {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
