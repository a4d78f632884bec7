import Glibc

/// One line on standard error that says what is waited for; nothing where that is no terminal.
///
/// Spaces erase it. No escape sequence is used, because a terminal may know none.
public final class ProgressLine: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    /// Whether a line is shown. The lock is held while the terminal is written to, which may block.
    private let isShown = Locked(false)
    /// Its lock is never held for long, so that `end` never blocks.
    private let hasEnded = Locked(false)

    public init() {}

    /// Replaces the line; what does not fit into the terminal's width is left out.
    public func show(_ text: String) {
        change { isShown in
            Self.write { width in Self.erasure(width) + text.prefix(width) }
            isShown = true
        }
    }

    /// Erases the line.
    public func clear() { change(Self.erase) }

    /// From now on every caller of `show` and `clear` waits for the end of this process. Never blocks.
    public func end() { hasEnded.withLock { $0 = true } }

    /// Erases the line after `end`. Blocks while the terminal's output is stopped (Ctrl-S).
    public func eraseLast() { isShown.withLock { Self.erase(&$0) } }

    private func change(_ body: (inout Bool) -> Void) {
        let isLate = isShown.withLock { isShown in
            // With the lock held: after `end` nothing can come between `eraseLast` and the end of the process.
            let isLate = hasEnded.withLock { $0 }
            if isTerminal && !isLate { body(&isShown) }
            return isLate
        }
        while isLate { pause() }
    }

    private static func erase(_ isShown: inout Bool) {
        if isShown { write(erasure) }
        isShown = false
    }

    private static func erasure(_ width: Int) -> String { "\r" + String(repeating: " ", count: width) + "\r" }

    /// - Parameter text: what to write, of the width that a line may have.
    private static func write(_ text: (Int) -> String) {
        var size = winsize()
        let isKnown = unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        // Many terminals move to the next line behind the last column.
        StandardError.write(text(isKnown ? max(1, Int(size.ws_col) - 1) : 79))
    }
}
