/// Why it is not known which models the engine has.
struct NoModelList: Error, Equatable, CustomStringConvertible {
    enum Kind: Equatable {
        /// No connection can be made: refused, not resolved, or TLS failed.
        case unreachable
        /// No list came in time, and at least one URL has not answered.
        case silent
        /// Ollama refuses the Host of `ollama.url`.
        case hostRefused
        /// Every URL has answered, none of them with a list.
        case noList
    }

    let kind: Kind
    /// For the log and the report; names each URL that was asked and what it said, without any body.
    let description: String

    /// Nobody has been able to ask in time.
    static let notYet = NoModelList(kind: .silent, description: "has not answered yet")
}
