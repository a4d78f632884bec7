import Foundation
import Synchronization
import TestSupport

/// A provider's machine: nginx, two workers on one socket as systemd has them, a GPU, and peers that can be made to fail.
final class SoakMachine: Sendable {
    let nginx: NginxServer
    let peers: FaultyPeers
    let engine: ScriptedServer
    let central: ScriptedServer
    let gpu: FakeNvidiaSMI
    private let configuration: String
    private let directory: TemporaryDirectory
    private let listener: UnixListener
    private let running = Mutex<[ChildProcess]>([])
    /// Problems at the end of restarted workers, and the logs of all workers.
    private let ended = Mutex<[String]>([])
    private let oldLogs = Mutex<[String]>([])

    /// Completions that each worker runs at once: fewer than there are clients.
    static let places = 6
    static let workerCount = 2

    init(_ ledger: Ledger, _ book: EngineBook) async throws {
        let peers = FaultyPeers(ledger, book)
        self.peers = peers
        engine = try ScriptedServer { try peers.engine($0) }
        central = try ScriptedServer { try peers.central($0) }
        gpu = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("3 %")))
        directory = try TemporaryDirectory()
        listener = try UnixListener(directory.path + "/fcgi.sock")
        nginx = try await NginxServer(workerSocket: listener.path)
        // nvidia-smi alone: a GPU of the machine's own must not decide.
        configuration = try directory.write(
            """
            server: {max_in_flight: \(Self.places), max_body_bytes: 4000000}
            ollama: {url: "\(engine.url)", first_byte_timeout: 6, idle_timeout: 6}
            provider: {url: "\(central.url)", api_key: key, hmac: required}
            ngrok: {url: "https://example.ngrok-free.app"}
            gpu: {source: nvidia-smi, sample_interval: 0.2}
            """, to: "config.yaml", mode: 0o600)
        try await onThread { [self] in
            for _ in 0..<Self.workerCount {
                let worker = try startWorker()
                running.withLock { $0.append(worker) }
            }
        }
    }

    // MARK: Processes

    /// The first worker always runs; the last worker is restarted.
    var workers: [ChildProcess] { running.withLock { $0 } }

    /// Problems of restarted workers.
    var problems: [String] { ended.withLock { $0 } }

    /// Lines of all workers' logs about requests that took 5 s and more, to look into a problem.
    var slowRequests: [String] {
        let logs = oldLogs.withLock { $0 } + workers.map(\.standardError)
        return logs.flatMap { $0.split(separator: "\n") }.map(String.init).filter { line in
            let time = line.split(separator: " ").first { $0.hasPrefix("ms=") }
            return time.flatMap { Int($0.dropFirst(3)) }.map { $0 >= 5000 } ?? false
        }
    }

    /// Ends all that runs, at once.
    func kill() {
        for worker in workers { worker.send(signal: SIGKILL) }
        if let nginx = nginx.pid { Glibc.kill(nginx, SIGTERM) }
    }

    /// Ends the last worker with a signal and starts another in its place, when it has ended, as systemd does; blocks.
    func restartWorker(by signal: CInt) throws {
        guard let old = workers.last else { return }
        old.send(signal: signal)
        func log() -> String { ":\n" + old.standardError.suffix(5000) }
        try waitUntil("a worker has ended", detail: log) { old.ended != nil }
        let exit = old.ended
        if exit != (signal == SIGKILL ? .signal(SIGKILL) : .status(0)) {
            let words = "a worker that was sent signal \(signal) ended: \(exit.map { "\($0)" } ?? "")"
            ended.withLock { $0.append("\(words)\n\(old.standardError.suffix(5000))") }
        }
        oldLogs.withLock { $0.append(old.standardError) }
        let new = try startWorker()
        running.withLock { $0[$0.count - 1] = new }
    }

    /// Stops nginx at once and starts it again; blocks.
    func restartNginx(after pause: UInt32) throws {
        try nginx.stopAndWait()
        usleep(pause)
        let isOver = DispatchSemaphore(value: 0)
        let failure = Mutex<(any Error)?>(nil)
        Task { [nginx] in
            do { try await nginx.start() } catch { failure.withLock { $0 = error } }
            isOver.signal()
        }
        isOver.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// Blocks until it is ready.
    private func startWorker() throws -> ChildProcess {
        let worker = try ChildProcess.worker(
            ["--config", configuration], environment: gpu.environment,
            standardInput: listener.descriptor)
        try worker.blockUntilReady()
        return worker
    }

    // MARK: What the workers hold

    /// Waits until all requests have ended, every place is free and no child runs, and returns the holdings.
    func rest() throws -> [Holdings] {
        try PlaceCheck(self).run()
        var best = workers.map { Holdings(of: $0.pid) }
        var looks = 0
        // nvidia-smi runs now and then, and the last responses may still be on their way: the least that is seen counts.
        try waitUntil("no child is left") {
            for (index, worker) in workers.enumerated() { best[index] = best[index].least(Holdings(of: worker.pid)) }
            looks += 1
            return looks >= 100 && best.allSatisfy { $0.children == 0 }
        }
        return best
    }
}
