import Glibc

/// Finds a program as a shell would, and tells a missing program from a forbidden one.
///
/// The difference decides whether a machine counts as one without GPUs, and posix_spawn(3) does not tell it.
enum ProgramLookup: Equatable {
    case found(path: String)
    case notRunnable(path: String, reason: String)
    case missing(reason: String)

    /// Looks for a program; blocks while a directory is on a server that does not respond.
    ///
    /// - Parameters:
    ///   - program: a name to be looked up, or a path, recognized by its slash.
    ///   - path: directories as in `PATH`; relative ones are passed over.
    ///   - directory: searched after the directories of `path`.
    static func find(_ program: String, path: String?, else directory: String) -> Self {
        // C would see only the part before a zero byte.
        guard !program.isEmpty && !program.utf8.contains(0) else {
            return .missing(reason: "is not the name of a program")
        }
        if program.contains("/") { return check(program) }
        let directories = (path ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").filter { $0.hasPrefix("/") }
        var secondBest: Self?
        for directory in directories.map(String.init) + [directory] {
            let result = check("\(directory)/\(program)")
            switch result {
            case .found: return result
            case .notRunnable: secondBest = secondBest ?? result
            case .missing: break
            }
        }
        let places = directories.isEmpty ? "no absolute directories" : directories.joined(separator: ":")
        return secondBest ?? .missing(reason: "not found on PATH (\(shown(places))) or in \(directory)")
    }

    /// A PATH as messages show it, cut to fit in a log line.
    private static func shown(_ path: String) -> String {
        let limit = 500
        return path.count > limit ? path.prefix(limit) + "…" : path
    }

    private static func check(_ path: String) -> Self {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return .missing(reason: systemError(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { return .missing(reason: "is not a file") }
        guard unsafe access(path, X_OK) == 0 else { return .notRunnable(path: path, reason: systemError(errno)) }
        return .found(path: path)
    }
}
