import Foundation
import TestSupport
import Testing

extension Fault {
    /// The worker is shown another time of day; the monotonic clock, which alone may count, stays as it is.
    static func clockJumps(byYears years: Int, _ name: String) -> Fault {
        Fault(.machine, name, obstacle: Preload.obstacle) {
            let began = Gate()
            let jumped = Gate()
            let directory = try TemporaryDirectory()
            let offset = try directory.write("0", to: "offset")
            let library = try await Preload("clock.c")
            let command = ["env", "LD_PRELOAD=\(library.path)", "CLOCK_OFFSET=\(offset)"]
            let gpu = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
            let script: ScriptedServer.Script = { request in
                try request.startStream()
                try request.event("a")
                began.open()
                try jumped.wait()
                for token in ["b", "c", "[DONE]"] { try request.event(token) }
                try request.endStream()
            }
            let rig = try await FaultRig(engine: script) { central, engine in
                try await Deployment(
                    settings: ["PATH": gpu.environment["PATH"], "PROVIDER_LOG_FORMAT": "json"],
                    workerCommand: command,
                    central: central, engine: engine)
            }
            let rounds = Counter()
            return try await rig.outcome {
                rig.fault.value = true
                let streams = try (0..<FaultRig.crowd).map { _ in try rig.start(isStream: true) }
                for _ in streams { try began.wait() }
                // Again as far from where the first jump has led.
                let seconds = (rounds.next() + 1) * years * 366 * 86_400
                try directory.write("\(seconds)", to: "offset")
                let year = Calendar(identifier: .gregorian)
                    .component(.year, from: Date(timeIntervalSinceNow: Double(seconds)))
                try rig.deployment.waitUntil("the worker's clock has jumped") {
                    _ = try rig.deployment.fetch("GET", "/busy")
                    return rig.deployment.worker.standardError.contains(#""time":"\#(year)"#)
                }
                let runs = gpu.runs
                try waitUntil("the GPU is sampled as before") { gpu.runs > runs + 5 }
                try rig.examine(behind: command)
                for _ in streams { jumped.open() }
                let seen = streams.map(Sighting.of)
                rig.fault.value = false
                return Outcome(seen, hasReachedEngine: true, recovery: "nothing to recover from")
            }
        }
    }
}
