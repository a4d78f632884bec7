import Glibc

/// The process's standard error.
enum StandardError {
    /// Writes text with one write(2), so that lines of several threads never mix.
    static func write(_ text: String) {
        let bytes = Array(text.utf8)
        unsafe bytes.withUnsafeBytes { buffer in
            // Text that cannot be written to standard error has nowhere else to go.
            _ = unsafe Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
        }
    }
}
