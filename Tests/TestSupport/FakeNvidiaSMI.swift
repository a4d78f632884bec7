public import Foundation

/// A program named nvidia-smi, in a separate directory, under the test's control.
public final class FakeNvidiaSMI: Sendable {
    public let directory: TemporaryDirectory

    /// - Parameter script: what it does, in sh, with `$here` for the directory; nil leaves the program out.
    public init(_ script: String? = nil) throws {
        directory = try TemporaryDirectory()
        if let script {
            try behave(script)
            try install()
        }
    }

    public var path: String { directory.path + "/nvidia-smi" }

    /// Where the name is looked up, with the directory first.
    public var environment: [String: String] { ["PATH": directory.path + ":/usr/bin:/bin"] }

    /// Changes what the next run does.
    public func behave(_ script: String) throws {
        try directory.write("echo >>$here/runs\n" + script, to: "nvidia-smi.sh")
    }

    public func install() throws {
        try FileManager.default.createSymbolicLink(
            atPath: path, withDestinationPath: Repository.root + "/Tests/Fakes/nvidia-smi")
    }

    public func remove() throws {
        try FileManager.default.removeItem(atPath: path)
    }

    /// What the program has written to a file beside it; nil when there is none.
    public func written(_ name: String) -> String? {
        FileManager.default.contents(atPath: directory.path + "/" + name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Removes a file beside the program, if it is there.
    public func forget(_ name: String) throws {
        guard written(name) != nil else { return }
        try FileManager.default.removeItem(atPath: directory.path + "/" + name)
    }

    /// How many runs have begun.
    public var runs: Int { written("runs")?.count ?? 0 }

    /// The process number the program has written to a file beside it.
    public func process(_ name: String) -> pid_t? {
        written(name).flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// The script that prints a document.
    public static func printing(_ document: String) -> String {
        "cat <<'END'\n\(document)\nEND\n"
    }
}

/// Whether a process is there and not only waits for its parent to take notice of its end.
public func isAlive(_ process: pid_t) -> Bool {
    guard let status = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return false }
    // "number (name) state …"; the name may hold anything.
    return String(decoding: status, as: UTF8.self).components(separatedBy: ") ").last?.first != "Z"
}
