import Foundation
import TestSupport

/// Host names as one worker sees them: a name of the test's own, and no name server.
///
/// The worker runs in a namespace of mounts that has other files for /etc/hosts and /etc/resolv.conf; with the only name
/// server on a port that nobody listens on, a look-up fails at once, whatever network the machine has.
final class Names: Sendable {
    static let host = "peer.provider.invalid"

    /// Why it cannot be done here.
    static var obstacle: String? {
        guard MountNamespace.isPossible else { return "this user may not have a namespace of mounts" }
        return nil
    }

    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write("", to: "hosts")
        try directory.write("nameserver 127.0.0.1\n", to: "resolv.conf")
    }

    /// Whether the name resolves, from the next look-up on. The file stays the same one: it is what is mounted.
    func resolve(_ isResolved: Bool) throws {
        let line = isResolved ? "127.0.0.1 \(Self.host)\n" : ""
        try Data(line.utf8).write(to: URL(fileURLWithPath: directory.path + "/hosts"))
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

    /// A peer whose name does not resolve at first.
    static func unresolvable(_ peer: Peer) async throws -> Fault.Outcome {
        let names = try Names()
        let rig = try await FaultRig.movable(workerCommand: names.command)
        // A name that is new to the worker: neither a connection nor libcurl's memory has it.
        let (engine, central) = (rig.deployment.engine.port, rig.deployment.central.port)
        try await rig.move(
            engine: peer == .engine ? "http://\(host):\(engine)" : nil,
            central: peer == .central ? "http://\(host):\(central)" : nil)
        let outcome = try await onThread {
            let begun = rig.begun
            let seen = rig.crowd()
            let hasReachedEngine = rig.begun > begun
            try names.resolve(true)
            return Fault.Outcome(seen, hasReachedEngine: hasReachedEngine, recovery: Fault.nextRequest)
        }
        try await rig.settle()
        return outcome
    }
}
