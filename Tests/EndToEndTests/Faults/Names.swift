import Foundation
import TestSupport
import Testing

/// Host names as one worker sees them: names of the test's own, and no name server.
///
/// The worker runs in a mount namespace with other files for /etc/hosts and /etc/resolv.conf. Nothing listens on the name
/// server's port, so a look-up fails at once, whatever the machine's network.
final class Names: Sendable {
    /// Why it cannot be done here.
    static var obstacle: String? {
        guard MountNamespace.isPossible else { return "this user may not have a namespace of mounts" }
        return Tool.isExpected("openssl") ? nil : "openssl is missing"
    }

    private let directory: TemporaryDirectory
    private let used = Counter()

    private var hosts: String { directory.path + "/hosts" }

    /// - Parameter isHanging: whether a look-up waits until `release` is called: a program that opens a FIFO to read waits for a
    ///   writer.
    init(isHanging: Bool = false) throws {
        directory = try TemporaryDirectory()
        if !isHanging {
            try directory.write("", to: "hosts")
        } else if mkfifo(hosts, 0o644) != 0 {
            throw NeverHappened(description: "no FIFO")
        }
        try directory.write("nameserver 127.0.0.1\n", to: "resolv.conf")
    }

    /// A name that is new to the worker: libcurl has neither a connection nor an address for it.
    func next() -> String { "peer-\(used.next()).provider.invalid" }

    /// From the next look-up on the name resolves. The file stays the same one: it is what is mounted.
    func resolve(_ host: String) throws {
        try Data("127.0.0.1 \(host)\n".utf8).write(to: URL(fileURLWithPath: hosts))
    }

    /// Replaces the FIFO, which glibc cannot read (it seeks), by a file with the name, and releases the readers of the FIFO.
    func release(_ worker: ChildProcess, _ host: String) throws {
        let file = try directory.write("127.0.0.1 \(host)\n", to: "found")
        try enter(worker, "mount", "--bind", file, "/etc/hosts")
        // Fails when no reader waits.
        while case let writer = open(hosts, O_WRONLY | O_NONBLOCK | O_CLOEXEC), writer >= 0 { close(writer) }
    }

    /// Takes it away again.
    func hang(_ worker: ChildProcess) throws {
        try enter(worker, "umount", "/etc/hosts")
    }

    /// Runs a command in the worker's namespace of mounts.
    private func enter(_ worker: ChildProcess, _ command: String...) throws {
        let options = MountNamespace.entering(worker).dropFirst()
        let tool = try ChildProcess("nsenter", options + command)
        try waitUntil("\(command) has ended") { tool.ended != nil }
        guard tool.ended == .status(0) else { throw NeverHappened(description: "\(command): \(tool.standardError)") }
    }

    /// Put in front of a worker's command.
    var command: [String] {
        ["unshare", "--mount"] + (getuid() == 0 ? [] : ["--map-root-user"]) + [
            "sh", "-c",
            #"cd "$0" && mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec "$@""#,
            directory.path,
        ]
    }

    enum Peer {
        case engine, central
    }

    private static func move(_ rig: FaultRig, _ peer: Peer, to host: String) async throws {
        let (engine, central) = (rig.deployment.engine.port, rig.deployment.central.port)
        try await rig.move(
            engine: peer == .engine ? "http://\(host):\(engine)" : nil,
            central: peer == .central ? "http://\(host):\(central)" : nil)
    }

    /// A peer with a name that does not resolve at first.
    static func unresolvable(_ peer: Peer) async throws -> Fault.Outcome {
        let names = try Names()
        let rig = try await FaultRig.movable(workerCommand: names.command)
        return try await rig.outcomeOfSteps {
            let host = names.next()
            try await move(rig, peer, to: host)
            return try await onThread {
                let begun = rig.begun
                let seen = rig.crowd()
                let hasReachedEngine = rig.begun > begun
                try rig.examine(behind: names.command)
                try names.resolve(host)
                return Fault.Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: Fault.nextRequest)
            }
        }
    }

    /// A peer with a look-up that hangs at first. Requests wait for it no longer than for a connection, and the look-up's
    /// threads end with it.
    static func hanging(_ peer: Peer) async throws -> Fault.Outcome {
        let names = try Names(isHanging: true)
        let rig = try await FaultRig.movable(workerCommand: names.command)
        let base = try await rig.rest()
        return try await rig.outcomeOfSteps {
            let host = names.next()
            try await move(rig, peer, to: host)
            let outcome = try await onThread {
                let begun = rig.begun
                let seen = rig.crowd()
                // One thread for each look-up that libcurl has given up.
                #expect(Holdings(of: rig.deployment.worker.pid).threads >= base.threads + FaultRig.crowd)
                let hasReachedEngine = rig.begun > begun
                try rig.examine(behind: names.command)
                try names.release(rig.deployment.worker, host)
                try rig.waitUntilServed()
                return Fault.Outcome(
                    seen, hasReachedEngine: hasReachedEngine, recovery: "as soon as a look-up ends")
            }
            // By its address again, which takes no look-up.
            try await rig.move()
            try await onThread { try names.hang(rig.deployment.worker) }
            return outcome
        }
    }
}
