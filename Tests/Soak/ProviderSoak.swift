import ArgumentParser
import Foundation
import Synchronization
import TestSupport

/// `make soak`: a mixed load with random faults; at its end every request has to be accounted for.
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
    /// Before every rest all places are taken at once (`PlaceCheck`), and `HTTPClient` keeps up to 128 connections, so their
    /// number is always the same. /health has one more, which takes three descriptors.
    private static let descriptorSlack = 3
    /// What of resident memory may be more than at the beginning, once all has been asked for that ever is.
    private static let residentSlackKiB = 4 * 1024
    /// Percent of the requests that have to be served, and that may be refused for the GPU.
    private static let shares = (served: 40, gpu: 40)

    /// When the load ends; a signal ends it early, and all that was started with it.
    private static let isOver = Atomic(false)

    func run() async throws {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in Self.isOver.store(true, ordering: .relaxed) } }
        print("soak: \(minutes) minutes, --seed \(seed)")
        let ledger = Ledger()
        let book = EngineBook(ledger)
        let machine = try await SoakMachine(ledger, book)
        var rests: [[Holdings]] = []
        do {
            for part in Part.allCases {
                try await load(machine, ledger, book, part)
                rests.append(try await onThread { try machine.rest() })
            }
        } catch {
            print(ledger.summary)
            // Threads that wait for a missed event keep a reference to it.
            machine.kill()
            throw error
        }
        print(ledger.summary)
        let (shares, abandoned) = (ledger.shares, book.abandoned)
        print(
            "served or left by their clients: \(shares.done) %; refused for the GPU: \(shares.gpu) %, because all places were taken: \(shares.places) %"
        )
        print(
            "left while the engine worked for them: \(abandoned.count); it noticed after \(abandoned.longest) at the latest"
        )
        var problems = ledger.unexplained.map { "unexplained: \($0)" } + book.problems + machine.problems
        if shares.done < Self.shares.served { problems.append("too few requests were served") }
        if shares.gpu > Self.shares.gpu { problems.append("too many requests were refused for the GPU") }
        for (index, worker) in machine.workers.enumerated() {
            problems += judge(worker, rests.map { $0[index] }, name: "worker \(index + 1)")
        }
        problems += try await stop(machine)
        for problem in problems { print("PROBLEM: \(problem)") }
        guard problems.isEmpty else {
            for worker in machine.workers where worker.ended != .status(0) { print(worker.standardError.suffix(5000)) }
            print("what took 5 s and more:\n\(machine.slowRequests.joined(separator: "\n"))")
            throw ExitCode(1)
        }
        print("soak: \(ledger.total) requests, all accounted for; nothing is left over")
    }

    /// What is wrong with what a worker holds in the end; says what it held at each rest.
    private func judge(_ worker: ChildProcess, _ rests: [Holdings], name: String) -> [String] {
        for (part, rest) in zip(Part.allCases, rests) {
            print("\(name) (\(worker.pid)) after \(part.rawValue): \(rest), \(rest.residentKiB) KiB resident")
        }
        if let ended = worker.ended { return ["\(name) ended: \(ended)"] }
        var problems: [String] = []
        for rest in rests.dropFirst() {
            var bound = rests[0]
            // Up to 32 threads are kept that a burst has started; more than all clients at once need there never are.
            bound.threads += Self.clients + 1
            bound.descriptors += Self.descriptorSlack
            if !rest.isWithin(bound) { problems.append("\(name) holds more than at the beginning") }
            if rest.residentKiB > rests[0].residentKiB + Self.residentSlackKiB { problems.append("\(name) has grown") }
        }
        return problems
    }

    /// The beginning has no faults: afterwards all is warm, and what is held can be compared.
    private enum Part: String, CaseIterable {
        case beginning = "the beginning"
        case firstHalf = "the first half"
        case secondHalf = "the second half"

        var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// A part of the time, with a separate seed; at its end all peers work again.
    private func load(_ machine: SoakMachine, _ ledger: Ledger, _ book: EngineBook, _ part: Part) async throws {
        let end = ContinuousClock.now + (part == .beginning ? .seconds(10) : .seconds(minutes * 30))
        let seed = seed &* 3 &+ UInt64(part.number)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...Self.clients {
                group.addTask {
                    try await onThread {
                        var client = SoakClient(
                            port: machine.nginx.port, ledger: ledger, book: book,
                            number: number + part.number * Self.clients, seed: seed)
                        while !isOver(end) { client.ask() }
                    }
                }
            }
            group.addTask { try await onThread { watchClock(ledger, until: end) } }
            if part != .beginning {
                group.addTask {
                    try await onThread {
                        var injector = FaultInjector(machine, ledger, seed: seed)
                        while !isOver(end) { try injector.step() }
                    }
                }
            }
            try await group.waitForAll()
        }
        machine.peers.relent()
    }

    /// Records pauses of this process that make its engine look like a hanging engine.
    private func watchClock(_ ledger: Ledger, until end: ContinuousClock.Instant) {
        while !isOver(end) {
            let before = ContinuousClock.now
            usleep(100_000)
            guard ContinuousClock.now - before > .seconds(3) else { continue }
            ledger.count(fault: "this process did not get to run for 3 s and more")
            ledger.begin(.standstill)
            ledger.end(.standstill, afterglow: .seconds(1))
        }
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
