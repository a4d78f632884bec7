import Foundation
import TestSupport
import Testing

/// One run of `provider-reporter doctor --json`.
struct Examination: Sendable {
    struct Check: Decodable, Equatable, Sendable {
        let code: String
        let status: String
        let saw: String
        let fix: String
    }

    private struct Document: Decodable { let checks: [Check] }

    let exit: ChildProcess.Exit
    let output: String
    let checks: [Check]

    /// Runs it; blocks until it has ended.
    init(_ arguments: [String], environment: [String: String], behind command: [String] = []) throws {
        let process = try ChildProcess.reporter(
            behind: command, ["doctor", "--json"] + arguments, environment: environment)
        try waitUntil("doctor has ended") { process.ended != nil }
        exit = try #require(process.ended)
        output = process.standardOutput + process.standardError
        checks = (try? JSONDecoder().decode(Document.self, from: Data(process.standardOutput.utf8)).checks) ?? []
    }

    func codes(_ status: String) -> [String] { checks.filter { $0.status == status }.map(\.code) }

    subscript(_ code: String) -> Check? { checks.first { $0.code == code } }
}

extension Deployment {
    /// Runs doctor with the worker's configuration; the site itself is the public URL. Blocks.
    func examine(
        _ arguments: [String] = [], settings: [String: String?] = [:], behind command: [String] = []
    ) throws -> Examination {
        var environment = workerEnvironment
        environment["PROVIDER_NGROK_URL"] = nginx.url
        for (name, value) in settings { environment[name] = value }
        return try Examination(
            ["--config", configurationPath, "--site", nginx.url] + arguments, environment: environment,
            behind: command)
    }
}
