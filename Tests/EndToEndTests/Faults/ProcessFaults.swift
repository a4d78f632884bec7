import Foundation
import TestSupport
import Testing

extension Fault {
    /// What can happen to nginx, the worker and the tunnel.
    static let processes: [Fault] = [
        nginxReloads, nginxRestarts, workerIsKilled, workerIsStopped, workerIsReloaded, ngrokIsAway,
        cloudflaredIsAway, tunnelsAreAmbiguous,
    ]

    private static let nginxReloads = Fault(.processes, "nginx is reloaded, streams running") {
        let held = HeldStreams()
        let rig = try await FaultRig(engine: held.script)
        return try await rig.outcome {
            let streams = try held.start(rig)
            try rig.deployment.nginx.reload()
            let after = rig.crowd(isStream: true)
            return Outcome(held.end(streams) + after, hasReachedEngine: true, recovery: "nothing to recover from")
        }
    }

    private static let nginxRestarts = Fault(.processes, "nginx is stopped and started, streams running") {
        let held = HeldStreams()
        let rig = try await FaultRig(engine: held.endless)
        return try await rig.outcomeOfSteps {
            let (running, meanwhile) = try await onThread {
                let streams = try held.start(rig)
                try rig.deployment.nginx.stopAndWait()
                // The engine stops generating: the worker tells it.
                for _ in streams { try held.gone.wait() }
                try rig.examine()
                return (streams.map { $0() }, rig.crowd())
            }
            try await rig.deployment.nginx.start()
            let parts = [
                Outcome(running, hasReachedEngine: true, recovery: ""),
                Outcome(meanwhile, hasReachedEngine: false, recovery: ""),
            ]
            return Outcome(
                client: "running: \(parts[0].client); meanwhile: \(parts[1].client)", lost: parts[0].lost,
                recovery: nextRequest)
        }
    }

    /// The socket is the service manager's, as with the shipped units: connections wait in it.
    private static let workerIsKilled = Fault(
        .processes, "the worker is killed (SIGKILL), and started again as systemd does"
    ) {
        let held = HeldStreams()
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        let rig = try await FaultRig(engine: held.endless) { central, engine in
            try await Deployment(inherited: listener, central: central, engine: engine)
        }
        return try await rig.outcome {
            let streams = try held.start(rig)
            rig.deployment.worker.send(signal: SIGKILL)
            for _ in streams { try held.gone.wait() }
            let running = Outcome(streams.map { $0() }, hasReachedEngine: true, recovery: "")
            return try startAgain(rig, after: running)
        }
    }

    /// The outcome of a worker's end: a crowd comes while no worker runs, and then another worker starts.
    static func startAgain(_ rig: FaultRig, after running: Outcome) throws -> Outcome {
        let waiting = try (0..<FaultRig.crowd).map { _ in try rig.start() }
        try rig.examine()
        try rig.deployment.startWorker()
        let later = Outcome(waiting.map(Sighting.of), hasReachedEngine: true, recovery: "")
        return Outcome(
            client: "running: \(running.client); meanwhile: nothing, later \(later.client)", lost: running.lost,
            recovery: "with its next start")
    }

    private static let workerIsStopped = Fault(.processes, "the worker is stopped and goes on (SIGSTOP, SIGCONT)") {
        let held = HeldStreams()
        let rig = try await FaultRig(engine: held.script)
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let streams = try held.start(rig)
            worker.send(signal: SIGSTOP)
            try waitUntil("it is stopped") { Vitals.field("State", of: worker.pid)?.hasPrefix("T") == true }
            let waiting = try (0..<FaultRig.crowd).map { _ in try rig.start(isStream: true) }
            try rig.examine()
            for _ in streams { held.finish.open() }
            worker.send(signal: SIGCONT)
            let seen = streams.map { $0() } + waiting.map(Sighting.of)
            return Outcome(seen, hasReachedEngine: true, recovery: "at once")
        }
    }

    private static let workerIsReloaded = Fault(.processes, "the worker is reloaded 20 times (SIGHUP), streams running")
    {
        let held = HeldStreams()
        let rig = try await FaultRig(engine: held.script)
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let streams = try held.start(rig)
            for _ in 1...20 {
                let reloads = rig.logged("reloaded from")
                worker.send(signal: SIGHUP)
                try rig.waitUntilLogged("reloaded from", beyond: reloads)
            }
            return Outcome(held.end(streams), hasReachedEngine: true, recovery: "nothing to recover from")
        }
    }
}
