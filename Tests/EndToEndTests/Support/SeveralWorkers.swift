import Foundation
import Synchronization
import TestSupport

/// One machine with several workers behind real nginx: they share a socket, as instances of the unit do, and a scoreboard.
final class SeveralWorkers: Sendable {
    let engine: ScriptedServer
    let central: ScriptedServer
    let nginx: NginxServer
    let directory: TemporaryDirectory
    private let listener: UnixListener
    private let settings: [String: String]
    private let processes = Mutex<[ChildProcess]>([])

    /// Starts all; each worker is ready when this returns.
    init(
        _ count: Int, settings: [String: String] = [:], central: @escaping ScriptedServer.Script = FakeCentral.valid,
        engine: @escaping ScriptedServer.Script = FakeEngine.object
    ) async throws {
        directory = try TemporaryDirectory()
        listener = try UnixListener(directory.path + "/fcgi.sock")
        self.engine = try ScriptedServer(engine)
        self.central = try ScriptedServer(central)
        self.settings = settings
        nginx = try await NginxServer(workerSocket: listener.path, engine: "127.0.0.1:\(self.engine.port)")
        for _ in 0..<count { try await start() }
    }

    var workers: [ChildProcess] { processes.withLock { $0 } }

    var scoreboard: String { directory.path + "/scoreboard" }

    /// Starts one more worker, and waits until it is ready.
    func start() async throws {
        let environment = Deployment.environment(engine: engine, central: central, gpu: nil)
            .merging(["PROVIDER_SERVER_SCOREBOARD": scoreboard]) { $1 }.merging(settings) { $1 }
        let worker = try ChildProcess.worker(environment: environment, standardInput: listener.descriptor)
        processes.withLock { $0.append(worker) }
        try await worker.waitUntilReady()
    }

    /// Ends a worker by a signal, and waits for it.
    func end(_ worker: ChildProcess, by signal: CInt) async throws {
        worker.send(signal: signal)
        _ = try await worker.waitForExit()
        processes.withLock { $0.removeAll { $0 === worker } }
    }

    // MARK: Blocking calls

    func complete() throws -> Int {
        try HTTPProbe.fetch(port: nginx.port, "POST", "/v1/chat/completions", body: "{}").status
    }

    /// What nginx's status server would be told, by whichever worker accepts first.
    func status(_ path: String) throws -> String {
        let peer = try FastCGIPeer(
            listener.path,
            parameters: [("REQUEST_METHOD", "GET"), ("DOCUMENT_URI", path), ("PROVIDER_STATUS", "on")])
        try peer.send(body: "")
        let output = try peer.output()
        guard output.hasPrefix("Status: 200"), let end = output.firstRange(of: "\r\n\r\n") else {
            throw NeverHappened(description: output)
        }
        return String(output[end.upperBound...])
    }

    /// The value of a sample, with its labels as they are written; nil without the sample.
    func metric(_ sample: String) throws -> Double? {
        let line = try status("/metrics").split(separator: "\n").first { $0.hasPrefix(sample + " ") }
        return line.flatMap { Double($0.dropFirst(sample.utf8.count + 1)) }
    }
}
