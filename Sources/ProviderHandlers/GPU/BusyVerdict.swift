public enum BusyVerdict: Sendable, Equatable { case idle, busy, unreadable, unknown(String) }
