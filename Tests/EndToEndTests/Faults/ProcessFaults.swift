import Foundation
import TestSupport
import Testing

extension Fault {
    /// What can happen to nginx, the worker and the tunnel.
    static let processes: [Fault] = [
        nginxReloads, nginxRestarts, workerIsKilled, workerIsStopped, workerIsReloaded, tunnelMoves,
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
            try rig.expectDoctor(fails: ["worker.running"])
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

    /// As the reporter of a container runs: one process, again and again.
    private static let tunnelMoves = Fault(.processes, "the tunnel's URL changes; the ngrok agent is away in between") {
        let agent = SharedValue("")
        agent.value = "https://first.ngrok-free.app"
        let ngrok = try ScriptedServer { request in
            let url = agent.value
            guard !url.isEmpty else { return request.connection.reset() }
            try request.respond(200, #"{"tunnels":[{"public_url":"\#(url)","proto":"https"}]}"#)
        }
        let reported = SharedValue("")
        let engine = try ScriptedServer { try $0.respond(200, #"{"object":"list","data":[]}"#) }
        let central = try ScriptedServer { request in
            reported.value = try request.bodyText()
            try request.respond(200, "")
        }
        let reporter = try ChildProcess.reporter(
            ["--every", "1"],
            environment: Deployment.environment(engine: engine, central: central, gpu: nil)
                .merging(["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": ngrok.url]) { $1 })
        func move() async throws {
            for url in ["https://first.ngrok-free.app", "", "https://second.ngrok-free.app"] {
                agent.value = url
                try await eventually("\(url) is reported") {
                    let report = try? JSONSerialization.jsonObject(with: Data(reported.value.utf8)) as? [String: Any]
                    return (report?["ngrok"] as? [String: Any])?["url"] as? String == url
                }
            }
        }
        try await move()
        let base = try await Holdings.atRest(reporter)
        for _ in 0..<2 { try await move() }
        #expect(reporter.ended == nil)
        try await eventually("nothing is left over") { Holdings(of: reporter.pid).isWithin(base) }
        reporter.terminate()
        #expect(try await reporter.waitForExit() == .status(0))
        return Outcome(
            client: "the central system: the first URL, an empty one, then the second", lost: "nothing",
            recovery: "with the next report")
    }
}
