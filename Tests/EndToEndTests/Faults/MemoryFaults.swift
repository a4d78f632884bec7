import Foundation
import TestSupport
import Testing

extension Fault {
    /// Almost the size up to which a response is buffered.
    private static let size = 7 * 1024 * 1024

    /// An engine with responses of that size, which it ends on permission.
    private static func large(_ all: Gate) -> ScriptedServer.Script {
        { request in
            _ = try request.bodyText()
            try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n\(Sighting.json)")
            try request.connection.send([UInt8](repeating: 0x20, count: size - Sighting.json.utf8.count - 1))
            try all.wait()
            try request.connection.send(" ")
        }
    }

    /// Sixty-four of these responses at once, in half of the memory that they would need.
    static let memoryIsScarce = Fault(
        .machine, "memory is scarce (RLIMIT_DATA 256 MiB above what is used), with 64 responses of 7 MiB at once",
        obstacle: Sanitizer.memoryObstacle
    ) {
        let all = Gate()
        let rig = try await FaultRig(engine: large(all), width: 64) {
            try await Deployment(central: $0, engine: $1)
        }
        let worker = rig.deployment.worker
        return try await rig.outcome {
            let begun = rig.begun
            rig.fault.value = true
            let used = Vitals.kibibytes("VmData", of: worker.pid) ?? 0
            try limitSoftly(worker, "--data=\((used + 256 * 1024) * 1024):")
            let probes = try (0..<64).map { _ in try rig.start() }
            // Responses that cannot be buffered are on their way to their clients, which read them at last.
            try rig.deployment.waitUntil("all are under way") { rig.begun == begun + probes.count }
            for _ in probes { all.open() }
            let seen = probes.map(Sighting.of)
            rig.fault.value = false
            try limitSoftly(worker, "--data=unlimited:")
            return Outcome(seen, hasReachedEngine: true, recovery: nextRequest)
        }
    }

    /// No program in Swift survives that: it ends, and the socket, which is the service manager's, keeps what comes.
    static let memoryRunsOut = Fault(
        .machine,
        "memory is denied (RLIMIT_DATA at what is used), with 4 responses of 7 MiB: the worker ends, and is started again as systemd does",
        obstacle: Sanitizer.memoryObstacle
    ) {
        let began = Gate()
        let all = Gate()
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        let rig = try await FaultRig(engine: { request in
            _ = try request.bodyText()
            try request.connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try request.chunk(Sighting.json)
            began.open()
            try all.wait()
            try request.chunk(String(repeating: " ", count: size))
            try request.endStream()
        }) { central, engine in
            try await Deployment(
                // As in a shipped worker, which has nothing that would explain its end.
                settings: ["SWIFT_BACKTRACE": "enable=no"], inherited: listener, central: central, engine: engine)
        }
        return try await rig.outcome {
            rig.fault.value = true
            let worker = rig.deployment.worker
            let probes = try (0..<FaultRig.crowd).map { _ in try rig.start() }
            for _ in probes { try began.wait() }
            rig.fault.value = false
            try limitSoftly(worker, "--data=\((Vitals.kibibytes("VmData", of: worker.pid) ?? 0) * 1024):")
            for _ in probes { all.open() }
            let running = Outcome(probes.map(Sighting.of), hasReachedEngine: true, recovery: "")
            try waitUntil("the worker has ended") { worker.ended != nil }
            #expect([.signal(SIGILL), .signal(SIGTRAP), .signal(SIGABRT)].contains(worker.ended))
            return try startAgain(rig, after: running)
        }
    }
}
