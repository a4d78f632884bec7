import Foundation
import TestSupport
import Testing

/// The worker's command line, where it listens, and what it says when it cannot.
@Suite struct WorkerStartTests {
    private func run(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> ChildProcess {
        let environment = ["PATH": noPrograms].merging(environment) { $1 }
        return try ChildProcess.worker(arguments, environment: environment)
    }

    @Test func theCommandLine() async throws {
        let version = try await run(["--version"])
        #expect(try await version.waitForExit() == .status(0))
        #expect(version.standardOutput.hasPrefix("0."))
        let help = try await run(["--help"])
        #expect(try await help.waitForExit() == .status(0))
        for option in ["--config", "--check-config", "--version", "--help"] {
            #expect(help.standardOutput.contains(option))
        }
        let unknown = try await run(["--nonsense"])
        #expect(try await unknown.waitForExit() == .status(64))
        #expect(unknown.standardError.contains("--nonsense"))
    }

    @Test func checkingAConfiguration() async throws {
        let directory = try TemporaryDirectory()
        let good = try directory.write("gpu:\n  busy_threshold: 50\n", to: "good.yaml")
        let bad = try directory.write("server: {}\ngpu:\n  busy_treshold: 50\n", to: "bad.yaml")
        for (arguments, environment) in [
            (["--config", good], [:]), ([], ["PROVIDER_CONFIG": good]),
        ] {
            let check = try await run(arguments + ["--check-config"], environment)
            #expect(try await check.waitForExit() == .status(0))
            #expect(check.standardOutput == "\(good): OK\n")
        }
        for arguments in [["--config", bad, "--check-config"], ["--config", bad]] {
            let check = try await run(arguments)
            #expect(try await check.waitForExit() == .status(78))
            #expect(check.standardError.contains("\(bad):3"))
            #expect(check.standardError.contains("busy_threshold"))
            #expect(check.standardError.split(separator: "\n").count == 1)
        }
        let missing = try await run(["--config", directory.path + "/none.yaml"])
        #expect(try await missing.waitForExit() == .status(78))
        #expect(missing.standardError.contains(directory.path + "/none.yaml"))
    }

    /// With `ollama.forward: nginx` two files name one engine.
    @Test func twoSidesThatDisagreeAboutTheEngine() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere", engine: "127.0.0.1:11500")
        let upstream = ["--nginx-upstream", prefix.path + "/conf.d/provider-upstream.conf"]
        for (port, isAgreed) in [(11_500, true), (11_501, false)] {
            let environment = [
                "PROVIDER_OLLAMA_FORWARD": "nginx", "PROVIDER_OLLAMA_URL": "http://localhost:\(port)",
            ]
            let check = try await run(upstream + ["--check-config"], environment)
            #expect(try await check.waitForExit() == .status(isAgreed ? 0 : 78))
            #expect(check.standardError.contains("nginx forwards to \"127.0.0.1:11500\"") != isAgreed)
            guard !isAgreed else { continue }
            let start = try await run(upstream, environment)
            #expect(try await start.waitForExit() == .status(78))
        }
    }

    @Test func aSocketThatCannotBeCreated() async throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write("precious", to: "file")
        let taken = try UnixListener(directory.path + "/taken.sock")
        for (environment, words) in [
            (["PROVIDER_SERVER_SOCKET": directory.path + "/none/fcgi.sock"], "its directory must exist"),
            (["PROVIDER_SERVER_SOCKET": file], "is not a socket"),
            (["PROVIDER_SERVER_SOCKET": taken.path], "another process listens"),
            (
                [
                    "PROVIDER_SERVER_SOCKET": directory.path + "/a.sock",
                    "PROVIDER_SERVER_SOCKET_GROUP": "no-such-group",
                ], "no group no-such-group"
            ),
            (
                [
                    "PROVIDER_SERVER_SOCKET": "", "PROVIDER_SERVER_HOST": "192.0.2.1",
                    "PROVIDER_SERVER_ALLOW_REMOTE": "true",
                ], "192.0.2.1:9000"
            ),
        ] {
            let worker = try await run([], environment)
            #expect(try await worker.waitForExit() == .status(73), "\(environment)")
            #expect(worker.standardError.contains(words), "\(worker.standardError)")
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/a.sock"))
    }

    @Test func theSocketIsForNginxOnlyAndGoesWithTheWorker() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/fcgi.sock"
        for signal in [SIGKILL, SIGTERM] {
            // The second one finds the socket file that the killed one has left.
            let worker = try await run([], ["PROVIDER_SERVER_SOCKET": path])
            try await worker.waitUntilReady()
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? Int) == 0o660)
            worker.send(signal: signal)
            #expect(try await worker.waitForExit() == (signal == SIGKILL ? .signal(SIGKILL) : .status(0)))
            #expect(FileManager.default.fileExists(atPath: path) == (signal == SIGKILL))
        }
    }

    @Test func aSocketOnDescriptor0ComesFirst() async throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        let worker = try ChildProcess.worker(
            environment: ["PATH": noPrograms, "PROVIDER_SERVER_SOCKET": directory.path + "/unused.sock"],
            standardInput: listener.descriptor)
        try await worker.waitUntilReady()
        #expect(worker.standardError.contains("ready: listening on the socket on descriptor 0"))
        #expect(!FileManager.default.fileExists(atPath: directory.path + "/unused.sock"))
        let nginx = try await NginxServer(workerSocket: listener.path)
        let status = try await onThread { try HTTPProbe.fetch(port: nginx.port, "GET", "/busy").status }
        #expect(status == 200)
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
        #expect(FileManager.default.fileExists(atPath: listener.path))
    }

    /// server.host and server.port, and a client that leaves, which shows differently over TCP.
    @Test func overTCP() async throws {
        let stopped = Gate()
        let engine = try ScriptedServer { request in
            _ = try request.bodyText()
            try request.connection.waitForHangUp()
            stopped.open()
        }
        let port = try ListeningSocket().port
        let worker = try await run(
            [],
            [
                "PROVIDER_SERVER_SOCKET": "", "PROVIDER_SERVER_PORT": "\(port)", "PROVIDER_OLLAMA_URL": engine.url,
                "PROVIDER_SERVER_DRAIN_TIMEOUT": "600",
            ])
        try await worker.waitUntilReady()
        let nginx = try await NginxServer(
            workerSocket: "/nonexistent",
            extraServerDirectives:
                "location = /v1/completions { fastcgi_pass 127.0.0.1:\(port); include /etc/nginx/fastcgi_params; }",
            // nginx takes one exact location of a path.
            replacing: [("location = /v1/completions { include snippets/provider-worker.conf; }", "")])
        try await onThread {
            let probe = try HTTPProbe(port: nginx.port, "POST", "/v1/completions", body: "{}")
            try waitUntil("the engine is asked") { !engine.requests.isEmpty }
            probe.connection.close()
            try stopped.wait()
        }
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
    }

    /// It waits longer for the first sample than the unit's TimeoutStartSec allows by itself.
    @Test func systemdIsAskedForTimeWhereNvidiaSMIIsSlow() async throws {
        let directory = try TemporaryDirectory()
        let manager = try NotifySocket(directory.path + "/notify")
        let worker = try await run(
            [],
            [
                "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock", "NOTIFY_SOCKET": manager.path,
                "PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "6", "PROVIDER_GPU_MAX_SAMPLE_AGE": "17",
            ])
        #expect(try await onThread { try manager.receive() } == "EXTEND_TIMEOUT_USEC=60000000")
        #expect(try await onThread { try manager.receive() } == "READY=1")
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
    }

    /// `systemctl status` shows it.
    @Test func systemdIsToldTheState() async throws {
        let directory = try TemporaryDirectory()
        let manager = try NotifySocket(directory.path + "/notify")
        let gpu = try FakeGPU(.utilization("12 %"))
        let worker = try await run(
            [],
            [
                "PATH": gpu.path ?? "", "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock",
                "NOTIFY_SOCKET": manager.path, "PROVIDER_GPU_SOURCE": "nvidia-smi",
                "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02",
            ])
        try await onThread { try manager.receiveStatus { $0 == "accepting, 0 of 64 in flight, GPU 12 %" } }
        try gpu.set(.utilization("63 %"))
        try await onThread { try manager.receiveStatus { $0 == "refusing: GPU busy (63 %)" } }
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
    }

    @Test func systemdIsTold() async throws {
        let directory = try TemporaryDirectory()
        let manager = try NotifySocket(directory.path + "/notify")
        let worker = try await run(
            [], ["PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock", "NOTIFY_SOCKET": manager.path])
        #expect(try await onThread { try manager.receive() } == "READY=1")
        worker.terminate()
        #expect(try await onThread { try manager.receive() } == "STOPPING=1")
        #expect(try await worker.waitForExit() == .status(0))
    }
}
