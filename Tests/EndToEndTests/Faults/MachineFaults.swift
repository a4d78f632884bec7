import Foundation
import TestSupport
import Testing

extension Fault {
    /// The machine's limits, and its other faults.
    static let machine: [Fault] = [
        descriptorsAreFew,
        descriptorsRunOut,
        threadsRunOut,
        memoryIsScarce,
        memoryRunsOut,
        diskOfNginxIsFull,
        diskOfTheLogIsFull,
        clockJumps(byYears: 1, "the clock jumps a year ahead, streams running"),
        clockJumps(byYears: -1, "the clock jumps back a year, streams running"),
    ]

    /// An engine that waits for permission to respond.
    static func held(_ gate: Gate) -> ScriptedServer.Script {
        { request in
            _ = try request.bodyText()
            try gate.wait()
            try request.respond(200, Sighting.json)
        }
    }

    /// A request without a thread waits for an existing thread.
    private static let threadsRunOut = Fault(
        .machine, "no thread can be started (RLIMIT_NPROC 1), with 24 requests at once",
        obstacle: OtherUser.obstacle, isRare: !OtherUser.isRoot
    ) {
        let finish = Gate()
        let user = OtherUser()
        let rig = try await FaultRig(engine: held(finish)) { central, engine in
            try await Deployment(workerCommand: user.command, central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let begun = rig.begun
            let failures = rig.logged("cannot start another thread")
            rig.fault.value = true
            let threads = Holdings(of: worker.pid).threads
            let limit = Vitals.limit("Max processes", of: worker.pid) ?? "unlimited"
            try user.prlimit(worker, "--nproc=1:")
            let probes = try (0..<6 * FaultRig.crowd).map { _ in try rig.start(isSigned: false) }
            try rig.waitUntilLogged("cannot start another thread", beyond: failures)
            #expect(Holdings(of: worker.pid).threads == threads)
            rig.fault.value = false
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            try user.prlimit(worker, "--nproc=\(limit):")
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: "as soon as a request has ended")
        }
    }

    /// A prompt that nginx does not keep in memory.
    private static let diskOfNginxIsFull = Fault(
        .machine, "the disk with nginx's request bodies is full",
        obstacle: OtherUser.isRoot ? nil : "to mount a small disk for nginx takes root",
        isRare: !OtherUser.isRoot
    ) {
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                nginxCommand: [
                    "unshare", "--mount", "sh", "-c",
                    #"mkdir "$4/temp/body" && mount -t tmpfs -o size=2m tmpfs "$4/temp/body" && exec "$0" "$@""#,
                ], central: central, engine: engine)
        }
        return try await rig.outcome {
            let begun = rig.begun
            let large = try (0..<FaultRig.crowd).map { _ in try rig.start(padding: 4_000_000) }
            let seen = large.map(Sighting.of)
            let outcome = Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: nextRequest + " that fits")
            try rig.examine(probes: true)
            // Small ones never touch the disk.
            #expect(Sighting.of(try rig.start()) == .whole(isStream: false))
            try waitUntil("what was written of the large ones is gone") {
                Sighting.of(try rig.start(padding: 1_500_000)) == .whole(isStream: false)
            }
            return outcome
        }
    }

    private static let diskOfTheLogIsFull = Fault(
        .machine, "the disk of the worker's log is full (/dev/full), with 8 requests"
    ) {
        let rig = try await FaultRig { central, engine in
            let deployment = try await Deployment(
                settings: ["PROVIDER_LOG_LEVEL": "trace"],
                // Said for the worker, which cannot say anything itself.
                workerCommand: ["sh", "-c", #"echo "ready: listening on" >&2; exec "$@" 2>/dev/full"#, "sh"],
                central: central, engine: engine)
            try await onThread {
                try deployment.waitUntil("it serves") { try deployment.fetch("GET", "/busy").status == 200 }
            }
            return deployment
        }
        return try await rig.outcome {
            let seen = rig.crowd() + rig.crowd()
            try rig.examine()
            return Outcome(seen, hasReachedEngine: true, recovery: "nothing to recover from")
        }
    }
}
