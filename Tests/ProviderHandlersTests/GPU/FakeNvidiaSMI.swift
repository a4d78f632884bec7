import Foundation
import TestSupport

@testable import ProviderHandlers

/// A program named nvidia-smi in a directory of its own that does what a test says.
final class FakeNvidiaSMI: Sendable {
    let directory: TemporaryDirectory

    /// - Parameter script: what it does, in sh, with `$here` for the directory; nil leaves the program out.
    init(_ script: String? = nil) throws {
        directory = try TemporaryDirectory()
        if let script {
            try behave(script)
            try install()
        }
    }

    var path: String { directory.path + "/nvidia-smi" }

    /// Where the name is looked up, with the directory first.
    var environment: [String: String] { ["PATH": directory.path + ":/usr/bin:/bin"] }

    /// Changes what the next run does.
    func behave(_ script: String) throws {
        try directory.write("echo >>$here/runs\n" + script, to: "nvidia-smi.sh")
    }

    func install() throws {
        let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fakes/nvidia-smi").path
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: program)
    }

    func remove() throws {
        try FileManager.default.removeItem(atPath: path)
    }

    /// What the program has written to a file beside it; nil when there is none.
    func written(_ name: String) -> String? {
        FileManager.default.contents(atPath: directory.path + "/" + name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// How many runs have begun.
    var runs: Int { written("runs")?.count ?? 0 }

    /// The process number the program has written to a file beside it.
    func process(_ name: String) -> pid_t? {
        written(name).flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// A reader of it; without limits of its own it would never time out.
    func reader(
        _ configuration: Configuration.GPU = Configuration.GPU(), environment: [String: String]? = nil,
        limits: LimitedProcess.Limits = LimitedProcess.Limits(run: .seconds(600), termination: .seconds(600))
    ) -> NvidiaSMI {
        NvidiaSMI(configuration, environment: environment ?? self.environment, limits: limits)
    }

    /// The script that prints a document.
    static func printing(_ document: String) -> String {
        "cat <<'END'\n\(document)\nEND\n"
    }
}

/// Whether a process is there and not only waits for its parent to take notice of its end.
func isAlive(_ process: pid_t) -> Bool {
    guard let status = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return false }
    // "number (name) state …"; the name may hold anything.
    return String(decoding: status, as: UTF8.self).components(separatedBy: ") ").last?.first != "Z"
}
