/// What the worker serves.
enum Route: Equatable {
    case health
    case busy
    /// A completion of either kind; the engine tells them apart by the path.
    case completion

    /// - Throws: `Refusal.notFound` or `.methodNotAllowed`, in that order.
    init(method: String, path: String) throws(Refusal) {
        switch path {
        case "/health": self = .health
        case "/busy": self = .busy
        case "/v1/chat/completions", "/v1/completions": self = .completion
        default: throw .notFound
        }
        guard allowedMethods.contains(method) else { throw .methodNotAllowed(allowed: allowedMethods) }
    }

    private var allowedMethods: [String] {
        switch self {
        case .health, .busy: ["GET", "HEAD"]
        case .completion: ["POST"]
        }
    }
}
