import Foundation
import TestSupport

@testable import ProviderHandlers

extension Scoreboard {
    /// A worker's scoreboard, for a test.
    convenience init(_ path: String?, _ name: String = "worker") {
        self.init(path: path, worker: WorkerIdentity(name: name, version: "1.2.3", started: 1000))
    }

    /// Takes a place if fewer than `limit` are taken on the machine.
    func claim(limit: Int) -> Bool {
        claim { $0.inFlight < limit ? nil : true } == nil
    }

    /// What the machine has in flight, when ended workers may have places.
    var machineInFlight: Int {
        look { $0.inFlight } ?? 0
    }

    var requests: UInt64 {
        totals().counters.reduce(0) { sum, entry in
            if case .requests = entry.key { sum + entry.value } else { sum }
        }
    }

    /// Calls `check` until it has something to say.
    func nextNotice() throws -> Notice {
        var notice: Notice?
        try waitUntil("a notice") {
            notice = check()
            return notice != nil
        }
        return notice!
    }
}

extension Scoreboard.Notice {
    var isLost: Bool { if case .lost = self { true } else { false } }
    var text: String {
        switch self {
        case .lost(let text), .joined(let text): text
        }
    }
}

/// Another worker's process.
struct Peer {
    let process: TestSupport.ChildProcess

    init(_ command: String, _ path: String, _ arguments: String...) throws {
        process = try TestSupport.ChildProcess(try BuiltProduct.path("scoreboard-peer"), [command, path] + arguments)
    }

    /// Waits until it has written the word.
    func wait(for word: String) throws {
        try waitUntil(
            "the peer says \(word)", detail: { ": " + process.standardError },
            { process.standardOutput.contains(word + "\n") })
    }

    func kill() async throws {
        process.send(signal: SIGKILL)
        try await process.waitForExit()
    }
}
