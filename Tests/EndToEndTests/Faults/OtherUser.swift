import Foundation
import TestSupport
import Testing

/// A user of one worker's own: RLIMIT_NPROC counts by user, and spares root.
struct OtherUser: Sendable {
    private static let counter = Counter()
    private let id: uid_t

    /// CI runs the tests as root and as an ordinary user, which cannot make every fault.
    static var isRoot: Bool { getuid() == 0 }
    static var obstacle: String? { isRoot ? nil : "a user of the worker's own takes root" }

    init() {
        id = uid_t(200_000 + Int(getpid()) % 100_000 + Self.counter.next() * 100_000)
    }

    /// Put in front of the worker's command. The files that the test has made are root's.
    var command: [String] {
        [
            "setpriv", "--reuid=\(id)", "--clear-groups", "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
        ]
    }

    /// Gives it the fake one, which a process without further rights has to be able to look up and to start.
    func own(_ program: FakeNvidiaSMI) throws {
        guard chown(program.directory.path, id, gid_t.max) == 0 else { throw NeverHappened(description: "no chown") }
        try program.remove()
        try FileManager.default.copyItem(atPath: Repository.root + "/Tests/Fakes/nvidia-smi", toPath: program.path)
    }

    /// Sets a soft limit of a process of the user's that runs.
    func prlimit(_ process: ChildProcess, _ limit: String) throws {
        try limitSoftly(process, limit, through: ["setpriv", "--reuid=\(id)", "--clear-groups"])
    }
}

/// Sets a soft limit of a process that runs; only its own user may without further rights.
///
/// - Parameters:
///   - limit: an option of prlimit(1).
///   - command: runs prlimit.
func limitSoftly(_ process: ChildProcess, _ limit: String, through command: [String] = []) throws {
    let tool = try ChildProcess("env", command + ["prlimit", "--pid", "\(process.pid)", limit])
    try waitUntil("prlimit has ended") { tool.ended != nil }
    #expect(tool.ended == .status(0), "prlimit \(limit): \(tool.standardError)")
}
