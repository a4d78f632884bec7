import ArgumentParser
import Foundation
import Synchronization
import TestSupport

/// `make soak`: a mixed load with faults injected at random, at whose end every request has to be accounted for.
@main
struct ProviderSoak: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider-soak",
        abstract: "Loads real nginx and two workers while faults are injected; fails when a request is unexplained.",
        discussion: "Exit status: 0 all is accounted for and nothing is left over, 1 not so.")

    @Option(help: "How long, in minutes.")
    var minutes = 1.0

    @Option(help: "Decides what the clients ask and which faults come, in which order [random].")
    var seed: UInt64 = .random(in: 1...999_999)

    private static let clients = 16
    /// What the second half may leave behind more than the first: transfers whose connection was not kept.
    private static let descriptorSlack = 24
    /// How much more resident memory the second half may leave behind than the first, and both than the beginning.
    private static let residentGrowthKiB = (halves: 8 * 1024, whole: 32 * 1024)

    /// When the load ends; a signal ends it early, and all that was started with it.
    private static let isOver = Atomic(false)

    func run() async throws {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in Self.isOver.store(true, ordering: .relaxed) } }
        print("soak: \(minutes) minutes, --seed \(seed)")
        let ledger = Ledger()
        let machine = try await SoakMachine(ledger)
        let beginning = try await onThread { try machine.rest() }
        var rests: [(vitals: [Vitals], residentKiB: [Int])] = []
        for half in 0..<2 {
            try await load(machine, ledger, half: half)
            rests.append(try await onThread { try machine.rest() })
        }
        print(ledger.summary)
        var problems = ledger.unexplained.map { "unexplained: \($0)" }
        for (index, worker) in machine.workers.enumerated() {
            let (first, second) = (rests[0].vitals[index], rests[1].vitals[index])
            let resident = [beginning.residentKiB[index], rests[0].residentKiB[index], rests[1].residentKiB[index]]
            print(
                "worker \(index + 1): at the beginning \(beginning.vitals[index]); after each half \(first); \(second)")
            print("  resident KiB: \(resident[0]), \(resident[1]), \(resident[2])")
            if let ended = worker.ended { problems.append("worker \(index + 1) ended: \(ended)") }
            var bound = first
            // A worker keeps up to 32 threads that a burst has started; more than all clients at once need there never are.
            bound.threads = max(bound.threads, beginning.vitals[index].threads + Self.clients + 1)
            bound.descriptors += Self.descriptorSlack
            if !second.isWithin(bound) { problems.append("worker \(index + 1) holds more after the second half") }
            if resident[2] - resident[1] > Self.residentGrowthKiB.halves
                || resident[2] - resident[0] > Self.residentGrowthKiB.whole
            {
                problems.append("worker \(index + 1) has grown")
            }
        }
        problems += try await stop(machine)
        for problem in problems { print("PROBLEM: \(problem)") }
        guard problems.isEmpty else {
            for worker in machine.workers where worker.ended != .status(0) { print(worker.standardError.suffix(5000)) }
            throw ExitCode(1)
        }
        print("soak: \(ledger.total) requests, all accounted for; nothing is left over")
    }

    /// Half of the time, with a seed of its own; in the end all are well again.
    private func load(_ machine: SoakMachine, _ ledger: Ledger, half: Int) async throws {
        let end = ContinuousClock.now + .seconds(minutes * 30)
        let seed = seed &* 2 &+ UInt64(half)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...Self.clients {
                group.addTask {
                    try await onThread {
                        var client = SoakClient(
                            port: machine.nginx.port, ledger: ledger, number: number + half * Self.clients, seed: seed)
                        while !isOver(end) { client.ask() }
                    }
                }
            }
            group.addTask {
                try await onThread {
                    var injector = FaultInjector(machine, ledger, seed: seed)
                    while !isOver(end) { try injector.step() }
                }
            }
            try await group.waitForAll()
        }
        machine.peers.relent()
    }

    private func isOver(_ end: ContinuousClock.Instant) -> Bool {
        ContinuousClock.now >= end || Self.isOver.load(ordering: .relaxed)
    }

    private func stop(_ machine: SoakMachine) async throws -> [String] {
        var problems: [String] = []
        for (index, worker) in machine.workers.enumerated() {
            worker.terminate()
            let exit = try await worker.waitForExit()
            if exit != .status(0) { problems.append("worker \(index + 1) told to end: \(exit)") }
        }
        return problems
    }
}
