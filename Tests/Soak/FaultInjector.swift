import Foundation
import TestSupport

/// Lets something go wrong again and again, in an order that the seed decides.
struct FaultInjector {
    private enum Step: CaseIterable {
        case engineFault, centralFault, engineRestart, centralRestart, gpuBusy, gpuFails, gpuHangs
        case workerReload, workerRestart, workerKill, nginxReload, nginxRestart
    }

    private static let steps: [(Step, weight: Int)] = [
        (.engineFault, 10), (.centralFault, 6), (.engineRestart, 2), (.centralRestart, 2), (.gpuBusy, 2),
        (.gpuFails, 1), (.gpuHangs, 1), (.workerReload, 3), (.workerRestart, 1), (.workerKill, 1), (.nginxReload, 1),
        (.nginxRestart, 1),
    ]

    private let machine: SoakMachine
    private let ledger: Ledger
    private var random: SeededRandom

    init(_ machine: SoakMachine, _ ledger: Ledger, seed: UInt64) {
        self.machine = machine
        self.ledger = ledger
        random = SeededRandom(seed: seed, stream: .max)
    }

    /// One fault, until it is over, and a while of peace; blocks.
    mutating func step() throws {
        let step = random.pick(Self.steps)
        let time = UInt32.random(in: 100_000..<600_000, using: &random)
        let times = Int.random(in: 1...3, using: &random)
        let (fault, centralFault) = (
            FaultyPeers.Fault.allCases.randomElement(using: &random) ?? .reset,
            FaultyPeers.CentralFault.allCases.randomElement(using: &random) ?? .reset
        )
        switch step {
        case .engineFault: machine.peers.plan(fault, times: times)
        case .centralFault: machine.peers.plan(centralFault, times: times)
        case .engineRestart: try restart(machine.engine, .engine, "engine is restarted", for: time)
        case .centralRestart: try restart(machine.central, .central, "central is restarted", for: time)
        // A run of nvidia-smi may be slow on a busy machine, and a pause of at most 5 s follows it.
        case .gpuBusy: try gpu("GPU is busy", FakeNvidiaSMI.printing(FakeNvidiaSMI.document("97 %")), for: time, 8)
        case .gpuFails: try gpu("nvidia-smi fails", "echo 'NVIDIA-SMI has failed'\nexit 9\n", for: time, 8)
        // A hanging process has 6 s to end.
        case .gpuHangs: try gpu("nvidia-smi hangs", "exec sleep 600\n", for: time, 15)
        case .workerReload:
            ledger.count(fault: "workers are reloaded")
            for worker in machine.workers { worker.send(signal: SIGHUP) }
        case .workerRestart:
            // It ends its requests, and the other worker serves new requests: no client may notice.
            ledger.count(fault: "a worker is restarted")
            try machine.restartWorker(by: SIGTERM)
        case .workerKill:
            try during(.worker, "a worker is killed") { try machine.restartWorker(by: SIGKILL) }
        case .nginxReload:
            ledger.count(fault: "nginx is reloaded")
            try machine.nginx.reload()
        case .nginxRestart:
            try during(.nginx, "nginx is stopped and started") { try machine.restartNginx(after: time / 4) }
        }
        usleep(time)
    }

    private func during(_ trouble: Ledger.Trouble, _ name: String, _ body: () throws -> Void) rethrows {
        ledger.count(fault: name)
        ledger.begin(trouble)
        try body()
        ledger.end(trouble, afterglow: .milliseconds(100))
    }

    private func restart(_ server: ScriptedServer, _ trouble: Ledger.Trouble, _ name: String, for time: UInt32) throws {
        try during(trouble, name) {
            server.stop()
            usleep(time / 4)
            try server.start()
        }
    }

    /// - Parameter afterglow: in seconds.
    private func gpu(_ name: String, _ script: String, for time: UInt32, _ afterglow: Int) throws {
        ledger.count(fault: name)
        ledger.begin(.gpu)
        try machine.gpu.behave(script)
        usleep(time)
        try machine.gpu.behave(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("3 %")))
        ledger.end(.gpu, afterglow: .seconds(afterglow))
    }
}
