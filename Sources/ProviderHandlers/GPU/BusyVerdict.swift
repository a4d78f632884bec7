/// What the GPUs' load means for the next completion.
public enum BusyVerdict: Sendable, Equatable {
    case idle
    case busy
    /// No GPU tells its utilization: only our own requests in flight can tell.
    case unreadable
    /// As good as busy, for the reason given.
    case unknown(String)
}
