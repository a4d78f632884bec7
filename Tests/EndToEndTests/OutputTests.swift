import Foundation
import TestSupport
import Testing

/// Standard output that cannot be written: a watching program must not take it for success.
@Suite struct OutputTests {
    private static let reporter = [["doctor"], ["doctor", "--json"], ["--dry-run"], ["--version"], ["--help"]]
    private static let worker = [["--check-config"], ["--version"]]
    private static let redirections = [
        (">/dev/full", "No space left on device"), (">&-", "Bad file descriptor"), ("<&- >&-", "Bad file descriptor"),
    ]

    private static func start(_ arguments: [String], _ redirection: String, settings: [String: String] = [:]) throws
        -> ChildProcess
    {
        let nobody = "http://127.0.0.1:9"
        let environment = [
            "PATH": noPrograms, "PROVIDER_OLLAMA_URL": nobody, "PROVIDER_URL": nobody, "PROVIDER_API_KEY": "key",
            "PROVIDER_GPU_SOURCE": "nvidia-smi", "PROVIDER_NGROK_API": nobody, "PROVIDER_REPORT_TIMEOUT": "1",
        ].merging(settings) { $1 }
        let command = ["sh", "-c", "exec \"$@\" \(redirection)", "sh"]
        return worker.contains(arguments) && !reporter.contains(arguments)
            ? try .worker(behind: command, arguments, environment: environment)
            : try .reporter(behind: command, arguments, environment: environment)
    }

    @Test(arguments: reporter + worker, redirections)
    func isNoSuccess(arguments: [String], redirection: (text: String, reason: String)) async throws {
        let process = try Self.start(arguments, redirection.text)
        #expect(try await process.waitForExit() == .status(74))
        #expect(process.standardError.contains("cannot write to standard output: \(redirection.reason)\n"))
    }

    @Test("without standard error the status is the same")
    func withoutStandardError() async throws {
        let process = try Self.start(["--version"], ">&- 2>&-")
        #expect(try await process.waitForExit() == .status(74))
    }

    @Test("a closed descriptor's number is not a socket's")
    func closedDescriptors() async throws {
        let engine = try ScriptedServer { try $0.connection.waitForHangUp() }
        let process = try Self.start(["doctor"], "<&- >&- 2>&-", settings: ["PROVIDER_OLLAMA_URL": engine.url])
        try await eventually("the engine is asked") { !engine.requests.isEmpty }
        for number in 0...2 {
            let file = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/fd/\(number)")
            #expect(file == "/dev/null")
        }
        engine.stop()
        #expect(try await process.waitForExit() == .status(74))
    }
}
