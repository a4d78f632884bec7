import Foundation
import ProviderHandlers
import Synchronization

/// Another worker's process, for the scoreboard's tests: `scoreboard-peer COMMAND PATH [NUMBER…]`.
@main
struct ScoreboardPeer {
    static func main() {
        let arguments = CommandLine.arguments
        let numbers = arguments.dropFirst(3).compactMap { Int($0) }
        let worker = WorkerIdentity(name: "peer", version: "1", started: UInt64(time(nil)))
        let board = Scoreboard(path: arguments[2], worker: worker)
        guard board.isShared else { fatalError("not shared: \(String(describing: board.check()))") }
        switch arguments[1] {
        case "hold": hold(board, numbers[0])
        case "die": die(board)
        case "freeze": freeze(board)
        case "count": count(board, numbers[0])
        case "load": load(board, Engine(arguments[6]), limit: numbers[0], threads: numbers[1], requests: numbers[2])
        case "crash":
            let engine = Engine(arguments[6])
            truncate(arguments[6], 0)
            engine.serve()
        case "bench": bench(board, threads: numbers[0], times: numbers[1])
        default: fatalError("no such command")
        }
    }

    /// Takes places and keeps them until it is killed.
    static func hold(_ board: Scoreboard, _ places: Int) {
        for _ in 0..<places { precondition(board.claim { _ in nil as Bool? } == nil) }
        say("ready")
        while true { pause() }
    }

    /// Is killed while it holds the lock.
    static func die(_ board: Scoreboard) {
        _ =
            board.claim { machine in
                machine.samples.admitted += 1
                kill(getpid(), SIGKILL)
                while true { pause() }
            } as Bool?
    }

    /// Stops for good while it holds the lock.
    static func freeze(_ board: Scoreboard) {
        _ = board.claim { _ in
            say("ready")
            kill(getpid(), SIGSTOP)
            return true
        }
        say("released")
        while true { pause() }
    }

    /// Counts as fast as it can; says after each step what the sum of all its requests is at least.
    static func count(_ board: Scoreboard, _ steps: Int) {
        for step in 1...steps {
            board.record { $0.count(.requests(.chatCompletions, status: 200, code: "")) }
            if step % 100 == 0 { say(step) }
        }
        say("ready")
        while true { pause() }
    }

    /// Claims with many threads until as many requests were let in.
    static func load(_ board: Scoreboard, _ engine: Engine, limit: Int, threads: Int, requests: Int) {
        let done = DispatchGroup()
        for _ in 0..<threads {
            done.enter()
            Thread.detachNewThread {
                while engine.admitted < requests {
                    guard board.claim({ $0.inFlight < limit ? nil : $0.inFlight }) == nil else {
                        sched_yield()
                        continue
                    }
                    engine.serve()
                    board.release()
                }
                done.leave()
            }
        }
        done.wait()
        say("done")
    }

    /// Writes a line now, also when a signal comes next.
    static func say(_ line: Any) {
        FileHandle.standardOutput.write(Data("\(line)\n".utf8))
    }

    static func bench(_ board: Scoreboard, threads: Int, times: Int) {
        let done = DispatchGroup()
        let start = ContinuousClock.now
        for _ in 0..<threads {
            done.enter()
            Thread.detachNewThread {
                for _ in 0..<times {
                    let now = SampleUse.now()
                    let refused: Bool? = board.claim { machine in
                        (machine.samples.lastAdmission, machine.samples.taken) = (now, now)
                        return machine.inFlight < 1000 ? nil : true
                    }
                    if refused == nil { board.release() }
                }
                done.leave()
            }
        }
        done.wait()
        let elapsed = (ContinuousClock.now - start) / (threads * times)
        say("claim and release: \(elapsed.components.attoseconds / 1_000_000_000) ns")
    }
}

/// What the peers load: counts who is there at once. A file of its own, so that it says nothing by the scoreboard's word.
final class Engine: Sendable {
    nonisolated(unsafe) private let words: UnsafeMutablePointer<Atomic<Int>>

    /// Maps the file, which must have 4 words: those there now, the most at once, all.
    init(_ path: String) {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        let start = mmap(nil, 32, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        words = start!.bindMemory(to: Atomic<Int>.self, capacity: 4)
    }

    var admitted: Int { words[2].load(ordering: .relaxed) }

    func serve() {
        let present = words[0].add(1, ordering: .sequentiallyConsistent).newValue
        words[1].max(present, ordering: .relaxed)
        usleep(50)
        words[2].add(1, ordering: .relaxed)
        words[0].subtract(1, ordering: .sequentiallyConsistent)
    }
}
