import Foundation
import TestSupport
import Testing

extension Fault {
    /// What the machine can run out of, and what else it can do.
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

    /// As many threads as find descriptors for all they do; what else comes waits in the socket.
    private static let descriptorsAreFew = Fault(
        .machine, "descriptors are few (RLIMIT_NOFILE 200), with 96 requests at once"
    ) {
        let finish = Gate()
        // Three quarters of the descriptors, seven for each thread.
        let threads = 150 / 7
        let rig = try await FaultRig(engine: held(finish), width: threads / 2) { central, engine in
            // No limit on requests that would be met first.
            try await Deployment(
                settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "1000"], central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let begun = rig.begun
            rig.fault.isOn = true
            let limit = Vitals.limit("Max open files", of: worker.pid) ?? "1024"
            try limitSoftly(worker, "--nofile=200:")
            let probes = try (0..<96).map { _ in try rig.start(isSigned: false) }
            try rig.deployment.waitUntil("all threads are busy") { rig.begun == begun + threads }
            // libdispatch opens a file every second, and ends the process when it cannot: time is the fault here.
            sleep(2)
            #expect(rig.begun == begun + threads)
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.isOn = false
            try limitSoftly(worker, "--nofile=\(limit):")
            return Outcome(seen, hasReachedEngine: true, recovery: "as soon as requests have ended")
        }
    }

    /// Not even one more: what the worker has held back is for what runs, and others are let in one by one.
    private static let descriptorsRunOut = Fault(
        .machine, "no descriptor is left, with 4 streams running and 16 requests coming", obstacle: Preload.obstacle
    ) {
        let held = HeldStreams()
        let directory = try TemporaryDirectory()
        let taken = directory.path + "/taken"
        let library = try await Preload("descriptors.c")
        let rig = try await FaultRig(engine: held.script, width: 16) { central, engine in
            try await Deployment(
                workerCommand: ["env", "LD_PRELOAD=\(library.path)", "DESCRIPTORS_TAKEN=\(taken)"],
                central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let limit = Vitals.limit("Max open files", of: worker.pid) ?? "1024"
            let (shortages, returns) = (rig.logged("cannot accept"), rig.logged("accepts again"))
            let streams = try held.start(rig)
            let begun = rig.begun
            // No more than the library can take, and than it has to.
            try limitSoftly(worker, "--nofile=\((Holdings.openDescriptors(of: worker.pid).max() ?? 0) + 64):")
            try directory.write("", to: "taken")
            // Threads that wait in accept have their descriptor already: accept(2) takes it first.
            try rig.deployment.waitUntil("a descriptor is missing") {
                _ = try rig.deployment.fetch("GET", "/busy")
                return rig.logged("cannot accept") > shortages
            }
            let probes = try (0..<4 * FaultRig.crowd).map { _ in try rig.start() }
            // Each second libdispatch may want to open a file: time is the fault here.
            sleep(3)
            #expect(rig.begun < begun + probes.count)
            let seen = (held.end(streams), probes.map(Sighting.of))
            #expect(rig.logged("cannot accept") == shortages + 1 && rig.logged("accepts again") == returns)
            try FileManager.default.removeItem(atPath: taken)
            try limitSoftly(worker, "--nofile=\(limit):")
            try rig.deployment.waitUntil("it takes whoever comes") {
                _ = try rig.deployment.fetch("GET", "/busy")
                return rig.logged("accepts again") > returns
            }
            let parts = [seen.0, seen.1].map { Outcome($0, hasReachedEngine: true, recovery: "") }
            return Outcome(
                client: "running: \(parts[0].client); coming: \(parts[1].client)", lost: parts[1].lost,
                recovery: "as soon as what ran has ended")
        }
    }

    /// An engine that answers once it may.
    private static func held(_ gate: Gate) -> ScriptedServer.Script {
        { request in
            _ = try request.bodyText()
            try gate.wait()
            try request.answer(200, Sighting.json)
        }
    }

    /// Whoever finds no thread waits for one of those there are.
    private static let threadsRunOut = Fault(
        .machine, "no thread can be started (RLIMIT_NPROC 1), with 24 requests at once", obstacle: OtherUser.obstacle
    ) {
        let finish = Gate()
        let user = OtherUser()
        let rig = try await FaultRig(engine: held(finish)) { central, engine in
            try await Deployment(workerCommand: user.command, central: central, engine: engine)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let begun = rig.begun
            let failures = rig.logged("no further thread can be started")
            rig.fault.isOn = true
            let threads = Holdings(of: worker.pid).threads
            let limit = Vitals.limit("Max processes", of: worker.pid) ?? "unlimited"
            try user.prlimit(worker, "--nproc=1:")
            let probes = try (0..<6 * FaultRig.crowd).map { _ in try rig.start(isSigned: false) }
            try rig.waitUntilLogged("no further thread can be started", beyond: failures)
            #expect(Holdings(of: worker.pid).threads == threads)
            rig.fault.isOn = false
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            try user.prlimit(worker, "--nproc=\(limit):")
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: "as soon as a request has ended")
        }
    }

    /// An engine whose answers are of almost the size that is held back, and end once they may.
    private static func large(_ all: Gate) -> ScriptedServer.Script {
        let size = 7 * 1024 * 1024
        return { request in
            _ = try request.bodyText()
            try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n\(Sighting.json)")
            try request.connection.send([UInt8](repeating: 0x20, count: size - Sighting.json.utf8.count - 1))
            try all.wait()
            try request.connection.send(" ")
        }
    }

    /// Sixty-four such answers at once, in half of the memory that would take.
    private static let memoryIsScarce = Fault(
        .machine, "memory is scarce (RLIMIT_DATA 256 MiB above what is used), with 64 answers of 7 MiB at once"
    ) {
        let all = Gate()
        let rig = try await FaultRig(engine: large(all), width: 64) {
            try await Deployment(central: $0, engine: $1)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let begun = rig.begun
            rig.fault.isOn = true
            let used = Vitals.kibibytes("VmData", of: worker.pid) ?? 0
            try limitSoftly(worker, "--data=\((used + 256 * 1024) * 1024):")
            let probes = try (0..<64).map { _ in try rig.start() }
            // Those that cannot be held back are on their way to their clients, who read them at last.
            try rig.deployment.waitUntil("all are under way") { rig.begun == begun + probes.count }
            for _ in probes { all.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.isOn = false
            try limitSoftly(worker, "--data=unlimited:")
            return Outcome(seen, hasReachedEngine: true, recovery: nextRequest)
        }
    }

    /// No program in Swift survives that: it ends, and the socket, which is the service manager's, keeps what comes.
    private static let memoryRunsOut = Fault(
        .machine,
        "memory is denied (RLIMIT_DATA at what is used), with 4 answers of 7 MiB: the worker ends, and is started again as systemd does"
    ) {
        let all = Gate()
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        let rig = try await FaultRig(engine: large(all)) { central, engine in
            try await Deployment(
                // As in a shipped worker, which has nothing that would explain its end.
                settings: ["SWIFT_BACKTRACE": "enable=no"], inherited: listener, central: central, engine: engine)
        }
        return try await rig.outcome {
            let begun = rig.begun
            rig.fault.isOn = true
            let worker = rig.deployment.worker
            try limitSoftly(worker, "--data=\((Vitals.kibibytes("VmData", of: worker.pid) ?? 0) * 1024):")
            let running = rig.crowd()
            try waitUntil("the worker has ended") { worker.ended != nil }
            #expect([.signal(SIGILL), .signal(SIGTRAP), .signal(SIGABRT)].contains(worker.ended))
            rig.fault.isOn = false
            let hasReachedEngine = rig.begun > begun
            // For those that still wait, for nobody.
            for _ in 0..<FaultRig.crowd { all.open() }
            let waiting = try (0..<FaultRig.crowd).map { _ in try rig.start() }
            try rig.deployment.startWorker()
            let parts = [running, waiting.map(Sighting.of)].map {
                Outcome($0, hasReachedEngine: hasReachedEngine, recovery: "")
            }
            return Outcome(
                client: "running: \(parts[0].client); meanwhile: nothing, later \(parts[1].client)",
                lost: parts[0].lost, recovery: "with its next start")
        }
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
        return try await rig.outcome {
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
            return Outcome(seen, hasReachedEngine: true, recovery: "nothing to recover from")
        }
    }
}
