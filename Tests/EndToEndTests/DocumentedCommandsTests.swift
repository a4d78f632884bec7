import Foundation
import TestSupport
import Testing

/// The command blocks that README and docs/ mark as runnable, run for real.
struct DocumentedCommandsTests {
    /// An indented block of commands after `<!-- runnable -->` or `<!-- runnable: prints TEXT -->`.
    struct Block: CustomTestStringConvertible, Sendable {
        let document: String
        let commands: String
        /// The standard output contains this text.
        let output: String

        var testDescription: String { "\(document): \(commands.prefix { $0 != "\n" })" }

        static func all(in document: String) throws -> [Block] {
            let lines = try Repository.read(document).split(separator: "\n", omittingEmptySubsequences: false)
            return try lines.indices.compactMap { index in
                guard let mark = lines[index].wholeMatch(of: /<!-- runnable(?:: prints (.+))? -->/) else { return nil }
                let block = lines[(index + 1)...].prefix { $0.hasPrefix("    ") }.map { $0.dropFirst(4) }
                try #require(!block.isEmpty, "\(document): no commands after line \(index + 1)")
                return Block(
                    document: document, commands: block.joined(separator: "\n"), output: String(mark.1 ?? ""))
            }
        }
    }

    /// As after `make run`: nginx, the worker and the sandbox; and systemd's journal with the worker's log.
    @Test(.enabled(if: Tool.isExpected("jq"), "jq is missing"))
    func everyRunnableBlockRuns() async throws {
        let key = ["PROVIDER_API_KEY": "sandbox"]
        let sandbox = try ChildProcess(
            try BuiltProduct.path("provider-sandbox"), ["--token-delay", "0"],
            environment: ProcessInfo.processInfo.environment.merging(key) { $1 })
        try await eventually("the sandbox is ready") { sandbox.standardOutput.hasSuffix("\n") }
        let parts = try #require(sandbox.standardOutput.firstMatch(of: /engine=(\S+) central=(\S+)/))
        let settings = key.merging([
            "PROVIDER_OLLAMA_URL": String(parts.1), "PROVIDER_URL": String(parts.2), "PROVIDER_LOG_FORMAT": "json",
        ]) { $1 }
        let deployment = try await Deployment(settings: settings)
        let shell = try Shell(deployment, settings)
        // The journal's filters find a completion.
        try await onThread { _ = try deployment.complete(#"{"model":"sandbox:latest","messages":[]}"#) }
        try await eventually("the completion is logged") {
            deployment.worker.standardError.contains(#""path":"/v1/chat/completions""#)
        }
        var count = 0
        for document in try DocumentsTests.documents() {
            for block in try Block.all(in: document) {
                try await shell.run(block)
                count += 1
            }
        }
        #expect(count >= 6)
    }

    /// Where a reader's commands run.
    private struct Shell {
        private let directory: TemporaryDirectory
        private let deployment: Deployment
        private let environment: [String: String]

        init(_ deployment: Deployment, _ settings: [String: String]) throws {
            self.deployment = deployment
            directory = try TemporaryDirectory()
            // A refusal fails the command.
            try directory.write("silent\nshow-error\nfail\nnoproxy = \"*\"\n", to: ".curlrc")
            try directory.write("#!/bin/sh\nexec cat \"$0.log\"\n", to: "journalctl", mode: 0o755)
            let programs = URL(fileURLWithPath: try BuiltProduct.path("provider-fcgi")).deletingLastPathComponent().path
            let configuration = try directory.write("", to: "config.yaml", mode: 0o600)
            environment = settings.merging([
                "PATH": "\(directory.path):\(programs):\(ProcessInfo.processInfo.environment["PATH"] ?? "")",
                "CURL_HOME": directory.path, "PROVIDER_CONFIG": configuration,
            ]) { $1 }
        }

        func run(_ block: Block) async throws {
            try directory.write(deployment.worker.standardError, to: "journalctl.log")
            let commands = block.commands.replacing("http://127.0.0.1:8080", with: deployment.nginx.url)
            let bash = try ChildProcess("bash", ["-euo", "pipefail", "-c", commands], environment: environment)
            #expect(try await bash.waitForExit() == .status(0), "\(block.testDescription):\n\(bash.standardError)")
            // Foundation's `contains` finds no empty text.
            #expect(block.output.isEmpty || bash.standardOutput.contains(block.output), "\(block.testDescription)")
        }
    }
}
