import Foundation
import TestSupport
import Testing

extension Fault {
    /// What the machine can run out of, and what else it can do.
    static let machine: [Fault] = [
        descriptorsRunOut,
        threadsRunOut,
        memoryIsScarce,
        diskOfNginxIsFull,
        diskOfTheLogIsFull,
        clockJumps(byYears: 1, "the clock jumps a year ahead, streams running"),
        clockJumps(byYears: -1, "the clock jumps back a year, streams running"),
    ]

    /// As many threads as find descriptors for all they do; what else comes waits in the socket.
    private static let descriptorsRunOut = Fault(
        .machine, "descriptors are few (RLIMIT_NOFILE 200), with 96 requests at once"
    ) {
        let finish = Gate()
        let rig = try await FaultRig(engine: held(finish)) { central, engine in
            // No limit on requests that would be met first.
            try await Deployment(
                settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "1000"], central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        let outcome = try await onThread {
            let begun = rig.begun
            rig.fault.isOn = true
            let limit = Vitals.limit("Max open files", of: worker.pid) ?? "1024"
            try prlimit(worker, "--nofile=200:")
            let probes = try (0..<96).map { _ in try rig.start() }
            // Three quarters of the descriptors, seven for each thread.
            try rig.deployment.waitUntil("all threads are busy") { rig.begun == begun + 150 / 7 }
            // libdispatch opens a file every second, and ends the process when it cannot: time is the fault here.
            sleep(2)
            #expect(rig.begun == begun + 150 / 7)
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.isOn = false
            try prlimit(worker, "--nofile=\(limit):")
            return Outcome(seen, hasReachedEngine: true, recovery: "as soon as requests have ended")
        }
        try await rig.settle(hadMany: true)
        return outcome
    }

    /// An engine that answers once it may.
    private static func held(_ gate: Gate) -> ScriptedServer.Script {
        { request in
            _ = try request.bodyText()
            try gate.wait()
            try request.answer(200, Sighting.json)
        }
    }

    /// Whoever finds no thread waits for one of those there are. A user of its own: RLIMIT_NPROC counts by user, and
    /// spares root.
    private static let threadsRunOut = Fault(
        .machine, "no thread can be started (RLIMIT_NPROC at what runs)",
        obstacle: getuid() == 0 ? nil : "a user of the worker's own takes root"
    ) {
        let finish = Gate()
        let user = "\(200_000 + Int(getpid()) % 100_000)"
        let rig = try await FaultRig(engine: held(finish)) { central, engine in
            try await Deployment(
                // The files that the test has made are root's.
                workerCommand: [
                    "setpriv", "--reuid=\(user)", "--clear-groups", "--inh-caps=+dac_override",
                    "--ambient-caps=+dac_override",
                ], central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        let outcome = try await onThread {
            let begun = rig.begun
            rig.fault.isOn = true
            let threads = Vitals(of: worker.pid).threads
            let limit = Vitals.limit("Max processes", of: worker.pid) ?? "unlimited"
            try prlimit(worker, "--nproc=\(threads):", as: user)
            let probes = try (0..<6 * FaultRig.crowd).map { _ in try rig.start() }
            try rig.waitUntilLogged("no further thread can be started")
            #expect(Vitals(of: worker.pid).threads == threads)
            rig.fault.isOn = false
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            try prlimit(worker, "--nproc=\(limit):", as: user)
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: "as soon as a request has ended")
        }
        try await rig.settle(hadMany: true)
        return outcome
    }

    /// Sixty-four answers of almost the size that is held back, at once, in half of the memory that would take.
    private static let memoryIsScarce = Fault(
        .machine, "memory is scarce (RLIMIT_DATA 256 MiB above what is used), with 64 answers of 7 MiB at once",
        obstacle: Sanitizer.memoryObstacle
    ) {
        let size = 7 * 1024 * 1024
        let all = Gate()
        let rig = try await FaultRig(engine: { request in
            _ = try request.bodyText()
            try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n\(Sighting.json)")
            try request.connection.send([UInt8](repeating: 0x20, count: size - Sighting.json.utf8.count - 1))
            try all.wait()
            try request.connection.send(" ")
        })
        let worker = rig.deployment.worker
        let outcome = try await onThread {
            let begun = rig.begun
            rig.fault.isOn = true
            let used = Vitals.kibibytes("VmData", of: worker.pid) ?? 0
            try prlimit(worker, "--data=\((used + 256 * 1024) * 1024):")
            let probes = try (0..<64).map { _ in try rig.start() }
            // Those that cannot be held back are on their way to their clients, who read them at last.
            try rig.deployment.waitUntil("all are under way") { rig.begun == begun + probes.count }
            for _ in probes { all.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.isOn = false
            return Outcome(seen, hasReachedEngine: true, recovery: nextRequest)
        }
        try prlimit(worker, "--data=unlimited:")
        try await rig.settle(hadMany: true)
        return outcome
    }

    /// A prompt that nginx does not keep in memory.
    private static let diskOfNginxIsFull = Fault(
        .machine, "the disk with nginx's request bodies is full",
        obstacle: getuid() == 0 ? nil : "to mount a small disk for nginx takes root"
    ) {
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                nginxCommand: [
                    "unshare", "--mount", "sh", "-c",
                    #"mkdir "$4/temp/body" && mount -t tmpfs -o size=2m tmpfs "$4/temp/body" && exec "$0" "$@""#,
                ], central: central, engine: engine)
        }
        let outcome = try await onThread {
            let begun = rig.begun
            let large = try (0..<FaultRig.crowd).map { _ in try rig.start(padding: 4_000_000) }
            let seen = large.map(Sighting.of)
            let outcome = Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: nextRequest + " that fits")
            // Small ones never touch the disk.
            #expect(Sighting.of(try rig.start()) == .whole(isStream: false))
            try waitUntil("what was written of the large ones is gone") {
                Sighting.of(try rig.start(padding: 1_500_000)) == .whole(isStream: false)
            }
            return outcome
        }
        try await rig.settle()
        return outcome
    }

    private static let diskOfTheLogIsFull = Fault(.machine, "the disk of the worker's log is full (/dev/full)") {
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
        let outcome = try await onThread {
            let seen = rig.crowd() + rig.crowd()
            return Outcome(seen, hasReachedEngine: true, recovery: "nothing to recover from")
        }
        try await rig.settle()
        return outcome
    }

    /// Sets a soft limit of a process that runs; only its own user may without further rights.
    private static func prlimit(_ process: ChildProcess, _ limit: String, as user: String? = nil) throws {
        let tool = try ChildProcess(
            "env",
            (user.map { ["setpriv", "--reuid=\($0)", "--clear-groups"] } ?? [])
                + ["prlimit", "--pid", "\(process.pid)", limit])
        try waitUntil("prlimit has ended") { tool.ended != nil }
        #expect(tool.ended == .status(0), "prlimit \(limit)")
    }
}
