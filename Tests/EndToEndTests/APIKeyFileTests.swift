import Foundation
import TestSupport
import Testing

/// /etc/provider-client/api_key for the built programs, and the words where there is no key.
@Suite struct APIKeyFileTests {
    private static let file = "/etc/provider-client/api_key"
    private static let words =
        "no API key is set: write it into \(file) with `install -D -m 600 /dev/stdin \(file)` (type the key, Enter, Ctrl-D)"

    @Test func theWorkerWarnsOfAMissingKey() async throws {
        try #require(!FileManager.default.fileExists(atPath: Self.file), "this machine has a key of its own")
        let deployment = try await Deployment(
            settings: ["PROVIDER_API_KEY": nil], central: { try $0.respond(401, "") })
        #expect(deployment.worker.standardError.contains("<4>provider.api_key: " + Self.words))
        try await onThread {
            let refused = try deployment.complete(headers: ["X-Inferoute-HMAC: abc"])
            #expect(refused.body.contains(#""code":"hmac_unavailable""#))
            try deployment.waitUntil("it is logged") {
                deployment.worker.standardError.contains("the central system requires an API key (401): " + Self.words)
            }
            #expect(!deployment.worker.standardError.contains("check provider.api_key"))
        }
        let other = try await Deployment()
        #expect(!other.worker.standardError.contains("no API key"))
    }

    @Test func soDoesTheCheck() async throws {
        try #require(!FileManager.default.fileExists(atPath: Self.file), "this machine has a key of its own")
        for (key, isSaid) in [("", true), ("key", false)] {
            let check = try ChildProcess.worker(["--check-config"], environment: ["PROVIDER_API_KEY": key])
            #expect(try await check.waitForExit() == .status(0))
            #expect(check.standardError.contains("provider-fcgi: warning: provider.api_key: " + Self.words) == isSaid)
        }
    }

    /// By hand, as a user who may read the file.
    @Test(.enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func theReporterByHandReadsTheFile() async throws {
        let seen = SharedValue("")
        let central = try ScriptedServer { request in
            seen.value = request.head["Authorization"] ?? ""
            try request.respond(200, "")
        }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let work = try TemporaryDirectory()
        let reporter = try Deployment.reporter(
            behind: MountNamespace.showingKey("key-of-the-file\n", mode: "644", work: work.path), engine: engine,
            central: central, settings: ["PROVIDER_API_KEY": ""])
        #expect(try await reporter.waitForExit() == .status(0), "\(reporter.standardError)")
        #expect(seen.value == "Bearer key-of-the-file")
        #expect(reporter.standardError.contains("<4>\(Self.file): holds provider.api_key and every user can read it"))
        #expect(!reporter.standardError.contains("key-of-the-file"))
    }

    /// An ordinary user of the machine may not do what root may do in a namespace.
    @Test(
        .enabled(if: geteuid() == 0 && MountNamespace.isPossible, "needs root, to be somebody else"),
        arguments: [("600", "cannot be read: Permission denied"), ("644", "")])
    func theReporterOfAnOrdinaryUser(mode: String, words: String) async throws {
        let central = try ScriptedServer { try $0.respond(200, "") }
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let work = try TemporaryDirectory()
        #expect(chmod(work.path, 0o755) == 0)
        let reporter = try Deployment.reporter(
            behind: MountNamespace.showingKey("key-of-the-file", mode: mode, work: work.path)
                + ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            engine: engine, central: central, settings: ["PROVIDER_API_KEY": ""])
        #expect(try await reporter.waitForExit() == .status(words.isEmpty ? 0 : 78), "\(reporter.standardError)")
        #expect(reporter.standardError.contains(words.isEmpty ? "report delivered" : "\(Self.file) \(words)"))
    }
}
