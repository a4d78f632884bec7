import Glibc

/// What a program of ours needs of the process it is.
public enum Program {
    /// The environment at this moment.
    public static var environment: [String: String] {
        var result: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let parts = unsafe String(cString: text)
                .split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            unsafe entry += 1
        }
        return result
    }

    /// What of an environment of ours a child gets: ours holds the API key, which is nobody else's business.
    static func forOthers(_ environment: [String: String]) -> [String: String] {
        environment.filter { !$0.key.hasPrefix("PROVIDER_") }
    }

    /// Says on standard error why the program ends, as `program: message`.
    public static func complain(_ message: String, program: String) {
        writeToStandardError("\(program): \(message)\n")
    }

    /// One write(2), so that lines of several threads never mix.
    static func writeToStandardError(_ line: String) {
        let bytes = Array(line.utf8)
        unsafe bytes.withUnsafeBytes { buffer in
            // What cannot be written to standard error has nowhere else to go.
            _ = unsafe write(STDERR_FILENO, buffer.baseAddress, buffer.count)
        }
    }
}
