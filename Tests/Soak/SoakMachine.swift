import Foundation
import TestSupport

/// A provider's machine: nginx, two workers on one socket as systemd has them, a GPU, and peers that can be made to fail.
final class SoakMachine: Sendable {
    let nginx: NginxServer
    let workers: [ChildProcess]
    let peers: FaultyPeers
    let engine: ScriptedServer
    let central: ScriptedServer
    let gpu: FakeNvidiaSMI
    private let directory: TemporaryDirectory
    private let listener: UnixListener

    /// Completions that each worker runs at once: fewer than there are clients.
    static let places = 6

    init(_ ledger: Ledger) async throws {
        let peers = FaultyPeers(ledger)
        self.peers = peers
        engine = try ScriptedServer { try peers.engine($0) }
        central = try ScriptedServer { try peers.central($0) }
        gpu = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("3 %")))
        directory = try TemporaryDirectory()
        listener = try UnixListener(directory.path + "/fcgi.sock")
        nginx = try await NginxServer(workerSocket: listener.path)
        let configuration = try directory.write(
            """
            server: {max_in_flight: \(Self.places), max_body_bytes: 4000000}
            ollama: {url: "\(engine.url)", first_byte_timeout: 6, idle_timeout: 6}
            provider: {url: "\(central.url)", api_key: key, hmac: required}
            ngrok: {url: "https://example.ngrok-free.app"}
            gpu: {sample_interval: 0.2}
            """, to: "config.yaml", mode: 0o600)
        workers = try (0..<2).map { [listener, gpu] _ in
            try ChildProcess(
                try BuiltProduct.path("provider-fcgi"), ["--config", configuration], environment: gpu.environment,
                standardInput: listener.descriptor)
        }
        for worker in workers {
            try await eventually("a worker is ready") {
                if let ended = worker.ended { throw NeverHappened(description: "\(ended): \(worker.standardError)") }
                return worker.standardError.contains("ready: listening on")
            }
        }
    }

    // MARK: What the workers hold

    var vitals: [Vitals] { workers.map { Vitals(of: $0.pid) } }

    var residentKiB: [Int] { workers.map { Vitals.kibibytes("VmRSS", of: $0.pid) ?? 0 } }

    /// Waits until nobody is served any more and no child runs, and tells what is held then.
    func rest() throws -> (vitals: [Vitals], residentKiB: [Int]) {
        try waitUntil("a completion is served again") {
            let answer = try HTTPProbe.fetch(
                port: nginx.port, "POST", "/v1/completions", headers: ["X-Inferoute-HMAC: good-0"], body: "json 300 0 ")
            return answer.status == 200
        }
        var best = vitals
        // nvidia-smi runs now and then: the least of what is seen counts.
        try waitUntil("no child is left") {
            for (index, now) in vitals.enumerated() {
                best[index].threads = min(best[index].threads, now.threads)
                best[index].descriptors = min(best[index].descriptors, now.descriptors)
                best[index].children = min(best[index].children, now.children)
            }
            return best.allSatisfy { $0.children == 0 }
        }
        return (best, residentKiB)
    }
}
