import Foundation
import TestSupport
import Testing

extension Fault {
    /// As many threads as find descriptors for all they do; what else comes waits in the socket.
    static let descriptorsAreFew = Fault(
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
            rig.fault.value = true
            let limit = Vitals.limit("Max open files", of: worker.pid) ?? "1024"
            try limitSoftly(worker, "--nofile=200:")
            let probes = try (0..<96).map { _ in try rig.start(isSigned: false) }
            try rig.deployment.waitUntil("all threads are busy") { rig.begun == begun + threads }
            // libdispatch opens a file every second, and ends the process when it cannot: time is the fault here.
            sleep(2)
            #expect(rig.begun == begun + threads)
            for _ in probes { finish.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.value = false
            try limitSoftly(worker, "--nofile=\(limit):")
            return Outcome(seen, hasReachedEngine: true, recovery: "as soon as requests have ended")
        }
    }

    /// Not even one more: what the worker has held back is for what runs, and others are let in one by one.
    static let descriptorsRunOut = Fault(
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
            let (shortages, returns) = (rig.logged("cannot accept"), rig.logged("accepting connections again"))
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
            try rig.examine()
            let seen = (held.end(streams), probes.map(Sighting.of))
            #expect(
                rig.logged("cannot accept") == shortages + 1 && rig.logged("accepting connections again") == returns)
            try FileManager.default.removeItem(atPath: taken)
            try limitSoftly(worker, "--nofile=\(limit):")
            try rig.deployment.waitUntil("it accepts every connection") {
                _ = try rig.deployment.fetch("GET", "/busy")
                return rig.logged("accepting connections again") > returns
            }
            let parts = [seen.0, seen.1].map { Outcome($0, hasReachedEngine: true, recovery: "") }
            return Outcome(
                client: "running: \(parts[0].client); coming: \(parts[1].client)", lost: parts[1].lost,
                recovery: "as soon as what ran has ended")
        }
    }
}
