import Glibc

/// One line on standard error that says what is waited for; nothing where that is no terminal.
///
/// Spaces erase it. No escape sequence is used, because a terminal may know none.
public final class ProgressLine: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let hasEnded = Locked(false)

    public init() {}

    /// Replaces the line; what does not fit into the terminal's width is left out.
    public func show(_ text: String) {
        write { width in Self.erasure(width) + text.prefix(width) }
    }

    /// Erases the line.
    public func clear() { write(Self.erasure) }

    /// Erases the line for good: every later caller waits for the end of this process.
    public func end() {
        clear()
        hasEnded.withLock { $0 = true }
    }

    private static func erasure(_ width: Int) -> String { "\r" + String(repeating: " ", count: width) + "\r" }

    /// - Parameter text: what to write, of the width that a line may have.
    private func write(_ text: (Int) -> String) {
        while hasEnded.withLock({ $0 }) { pause() }
        guard isTerminal else { return }
        var size = winsize()
        let isKnown = unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        // Many terminals move to the next line behind the last column.
        StandardError.write(text(isKnown ? max(1, Int(size.ws_col) - 1) : 79))
    }
}
