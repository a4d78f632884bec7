import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// Several processes, which are killed as well.
@Suite struct ScoreboardWorkersTests {
    let directory: TemporaryDirectory
    let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/scoreboard"
    }

    @Test func fourWorkersNeverPassTheLimit() async throws {
        let engine = try directory.write(bytes: [UInt8](repeating: 0, count: 32), to: "engine")
        let peers = try (0..<4).map { _ in try Peer("load", path, "3", "64", "10000", engine) }
        for peer in peers {
            try await onThread { try peer.wait(for: "done") }
            #expect(try await peer.process.waitForExit() == .status(0))
        }
        let words = try Data(contentsOf: URL(fileURLWithPath: engine)).withUnsafeBytes {
            Array($0.bindMemory(to: Int.self))
        }
        #expect(words[0] == 0)
        #expect(words[1] == 3)
        #expect(words[2] >= 10000)
        #expect(Scoreboard(path).machineInFlight == 0)
    }

    @Test func theLimitIsTheMachines() {
        let (first, second) = (Scoreboard(path), Scoreboard(path))
        #expect(first.claim(limit: 2))
        #expect(second.claim(limit: 2))
        #expect(!first.claim(limit: 2))
        #expect(!second.claim(limit: 2))
        // Each worker judges by its own limit.
        #expect(second.claim(limit: 3))
        second.release()
        first.release()
        #expect(second.claim(limit: 2))
        #expect((first.ownInFlight, second.ownInFlight) == (0, 2))
        #expect(first.totals().inFlight == 2)
    }

    @Test func whatASampleLetInIsTheMachines() {
        let (first, second) = (Scoreboard(path), Scoreboard(path))
        let admitted: Bool? = first.claim { machine in
            machine.samples = SampleUse(lastAdmission: 30, taken: 20, admitted: 1)
            return nil
        }
        #expect(admitted == nil)
        // A refusal changes nothing.
        let seen = second.claim { machine in
            defer { machine.samples = SampleUse() }
            return machine.samples
        }
        #expect(seen == SampleUse(lastAdmission: 30, taken: 20, admitted: 1))
        #expect(second.look { $0.samples } == seen)
    }

    @Test func aClockOfAllWorkers() {
        let (before, instant) = (SampleUse.now(), ContinuousClock.now)
        let time = SampleUse.time(of: instant + .seconds(5))
        let after = SampleUse.now()
        #expect(time > before + 4_900_000_000 && time < after + 5_100_000_000)
        #expect(SampleUse.time(of: instant - .seconds(1)) < before)
    }

    @Test func aKilledWorkersPlacesAreFree() async throws {
        let board = Scoreboard(path)
        let peer = try Peer("hold", path, "3")
        try await onThread { try peer.wait(for: "ready") }
        #expect(!board.claim(limit: 3))
        #expect(board.totals().workers.count == 2)
        try await peer.kill()
        #expect(board.totals().inFlight == 0)
        #expect(board.claim(limit: 1))
        #expect(board.machineInFlight == 1)
        #expect(board.totals().workers.map(\.name) == ["worker"])
    }

    @Test func aWorkerKilledWithTheLockBlocksNobody() async throws {
        let board = Scoreboard(path)
        for _ in 0..<5 {
            let peer = try Peer("die", path)
            #expect(try await peer.process.waitForExit() == .signal(SIGKILL))
            #expect(board.claim(limit: 1))
            #expect(!board.claim(limit: 1))
            board.release()
        }
        #expect(board.isShared)
        #expect(board.check() == nil)
    }

    /// At any point, those within the lock included.
    @Test func workersKilledUnderLoad() async throws {
        let engine = try directory.write(bytes: [UInt8](repeating: 0, count: 32), to: "engine")
        let survivors = try (0..<2).map { _ in try Peer("load", path, "3", "8", "5000", engine) }
        while survivors.contains(where: { $0.process.ended == nil }) {
            let victim = try Peer("load", path, "3", "8", "5000", engine)
            try await Task.sleep(for: .milliseconds(.random(in: 20...80)))
            try await victim.kill()
        }
        for peer in survivors { #expect(try await peer.process.waitForExit() == .status(0)) }
        let board = Scoreboard(path)
        #expect(board.claim(limit: 1))
        #expect(board.machineInFlight == 1)
        #expect(board.totals().workers.count == 1)
    }

    /// The same where a successor has taken the slot.
    @Test func aSuccessorInTheSlotOfAKilledOwnerOfTheLock() async throws {
        let board = Scoreboard(path)
        _ = try await Peer("die", path).process.waitForExit()
        let successor = Scoreboard(path)
        #expect(successor.claim(limit: 1))
        #expect(!board.claim(limit: 1))
        #expect(board.isShared && successor.isShared)
    }

    @Test func aStoppedOwnerOfTheLockIsLeftBehind() async throws {
        let board = Scoreboard(path)
        #expect(board.claim(limit: 3))
        let peer = try Peer("freeze", path)
        try await onThread { try peer.wait(for: "ready") }
        // Its own limit holds.
        #expect(try await onThread { board.claim(limit: 2) })
        #expect(!board.claim(limit: 2))
        #expect(!board.isShared)
        peer.process.send(signal: SIGCONT)
        try await onThread { try peer.wait(for: "released") }
        let notices = try await onThread { try [board.nextNotice()] }
        #expect(
            notices.map(\.text) == [
                "The scoreboard \(path).v1 was overwritten, or locked by a worker that does not run. This worker shares it again."
            ])
        #expect(Scoreboard(path).machineInFlight == 2)
    }

    @Test func countsNeverGoBack() async throws {
        let board = Scoreboard(path)
        var (seen, least): (UInt64, UInt64) = (0, 0)
        for round in 0..<6 {
            let peers = try (0..<2).map { _ in try Peer("count", path, "1000000") }
            try await onThread { for peer in peers { try peer.wait(for: "\(100 * (round * 7 + 1))") } }
            for peer in peers { try await peer.kill() }
            // A line that was begun has no number.
            for peer in peers {
                least += peer.process.standardOutput.split(separator: "\n").last.flatMap { UInt64($0) } ?? 0
            }
            let now = board.requests
            #expect(now >= seen)
            #expect(now >= least)
            seen = now
        }
        // Two slots and ours: each successor counts on in a former's slot.
        #expect(board.totals().counters.count == 1)
        #expect(Scoreboard(path).requests == seen)
    }

    @Test func workersThatStartAtOnceShareOneFile() async throws {
        let path = path
        let boards = await withTaskGroup(of: Scoreboard.self) { group in
            for _ in 0..<16 { group.addTask { Scoreboard(path) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for board in boards { #expect(board.claim(limit: 16)) }
        #expect(!boards[0].claim(limit: 16))
        #expect(boards[3].totals().workers.count == 16)
    }

    @Test func thereIsRoomFor64Workers() throws {
        var boards = (0..<64).map { Scoreboard(path, "worker \($0)") }
        #expect(boards.allSatisfy { $0.isShared })
        let late = Scoreboard(path)
        #expect(!late.isShared)
        #expect(late.check()?.text.contains("has no free slot: at most 64 workers share it") == true)
        #expect(late.claim(limit: 1))
        boards.removeLast()
        // Another worker's counts may be in the free slot: only a new worker takes it.
        #expect(late.check() == nil)
        // A child that another test is starting may have the descriptor, and the slot, until it runs its program.
        try waitUntil("the slot is free") { Scoreboard(path).isShared }
    }
}
