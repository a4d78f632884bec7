import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// The path with the list that counts, and the message without a list.
@Suite struct EngineModelsTests {
    private static let order = ["/v1/models", "/api/models", "/api/tags"]
    private static let good = [
        "/v1/models": #"{"object":"list","data":[{"id":"v1"}]}"#, "/api/models": #"{"data":[{"id":"api"}]}"#,
        "/api/tags": #"{"models":[{"name":"tags"}]}"#,
    ]

    private func models(of url: String) -> EngineModels {
        var configuration = Configuration.Ollama()
        configuration.url = url
        return EngineModels(http: HTTPClient(proxied: false), engine: configuration)
    }

    private func asked(_ engine: ScriptedServer) -> [String] {
        engine.requests.map { String($0.split(separator: " ")[1]) }
    }

    private func problem(of url: String, within limit: Duration = .seconds(30)) throws -> NoModelList {
        try #require(throws: NoModelList.self) { try models(of: url).list(within: limit) }
    }

    @Test(arguments: order)
    func eachPathInItsTurn(path: String) async throws {
        try await onThread {
            let engine = try ScriptedServer { request in
                #expect(request.head["Accept-Encoding"] == "identity")
                let isIt = request.target == path
                try request.respond(isIt ? 200 : 404, isIt ? try #require(Self.good[path]) : "404 page not found")
            }
            let models = models(of: engine.url)
            for _ in 0..<2 { #expect(try models.list(within: .seconds(30)).count == 1) }
            // A path that has responded never comes before an earlier path.
            let turns = try #require(Self.order.firstIndex(of: path)) + 1
            #expect(asked(engine) == Array(Self.order.prefix(turns)) + Array(Self.order.prefix(turns)))
            #expect(engine.connectionCount == 1)
        }
    }

    /// What is there again is seen again.
    @Test func aBetterListIsNotHidden() async throws {
        try await onThread {
            let isBack = Counter()
            let engine = try ScriptedServer { request in
                let isThere = request.target == "/api/tags" || request.target == "/v1/models" && isBack.value > 0
                try request.respond(isThere ? 200 : 500, isThere ? try #require(Self.good[request.target]) : "")
            }
            let models = models(of: engine.url)
            #expect(try models.list(within: .seconds(30)).map(\.id) == ["tags"])
            _ = isBack.next()
            #expect(try models.list(within: .seconds(30)).map(\.id) == ["v1"])
        }
    }

    /// Responses other than a list, each of which leads on to the next path.
    private static let others: [(words: String, script: ScriptedServer.Script)] = [
        ("responded with 404", { try $0.respond(404, "404 page not found", type: "text/plain") }),
        ("responded with 401", { try $0.respond(401, #"{"error":"no"}"#) }),
        ("responded with 405", { try $0.respond(405, "") }),
        ("responded with 403", { try $0.respond(403, "<html>") }), ("responded with 500", { try $0.respond(500, "") }),
        ("responded with 204", { try $0.connection.send("HTTP/1.1 204 No Content\r\n\r\n") }),
        ("responded with 302", { try $0.respond(302, "", headers: ["Location: /login"]) }),
        (
            "sent something other than a list (text/html)",
            { try $0.respond(200, "<!doctype html><html></html>", type: "text/html") }
        ),
        ("sent something other than a list", { try $0.respond(200, #"{"error":"Unexpected endpoint or method."}"#) }),
        ("sent something other than a list", { try $0.respond(200, "") }),
        (
            "sent something other than a list (Content-Encoding: gzip)",
            { try $0.respond(200, "\u{1F}\u{8B}\u{8}", headers: ["Content-Encoding: gzip"]) }
        ),
        (
            "sent a list without a valid model",
            { try $0.respond(200, #"{"data":[1,{"name":"m"}],"models":[2]}"#) }
        ),
        (
            "sent more than 4194304 bytes",
            { request in
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
                try request.connection.send([UInt8](repeating: 0x20, count: 9_000_000))
            }
        ),
        (
            "HTTP/0.9",
            {
                try $0.connection.send("no HTTP at all\r\n\r\n")
                $0.closeAfterwards()
            }
        ),
        ("Empty reply from server", { $0.closeAfterwards() }), ("reset", { $0.connection.reset() }),
        (
            "transfer closed",
            {
                try $0.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":[")
                $0.closeAfterwards()
            }
        ),
    ]

    /// Where the list is behind it; where it is everywhere, each URL is named with what it said.
    @Test(arguments: others.indices)
    func anyOtherResponseLeadsOn(index: Int) async throws {
        try await onThread {
            let other = Self.others[index]
            for good in ["/v1/models", "/api/models", "/api/tags"] {
                let engine = try ScriptedServer { request in
                    guard request.target == good else { return try other.script(request) }
                    try request.respond(200, try #require(Self.good[good]))
                }
                #expect(try models(of: engine.url).list(within: .patience).count == 1, "\(good)")
            }
            let engine = try ScriptedServer(other.script)
            let problem = try problem(of: engine.url, within: .patience)
            #expect(problem.kind == .noList)
            let parts = problem.description.components(separatedBy: "; ")
            #expect(parts.count == 3)
            for (part, path) in zip(parts, Self.order) {
                #expect(part.contains(engine.url + path) && part.contains(other.words), "\(problem)")
            }
        }
    }

    /// Both shapes at once, as llama.cpp's server writes them, are each path's own.
    @Test func aListOfAnotherShapeIsRefused() async throws {
        try await onThread {
            let engine = try ScriptedServer { request in
                let isOllamas = request.target != "/api/tags"
                try request.respond(200, isOllamas ? #"{"models":[{"name":"m"}]}"# : #"{"data":[{"id":"m"}]}"#)
            }
            let kind = try problem(of: engine.url).kind
            #expect(kind == .noList)
            #expect(asked(engine) == Self.order)
            let both = try ScriptedServer { try $0.respond(200, #"{"models":[{"name":"a"}],"data":[{"id":"a"}]}"#) }
            let list = try models(of: both.url).list(within: .seconds(30))
            #expect(list.map(\.id) == ["a"])
            #expect(asked(both) == ["/v1/models"])
        }
    }

    @Test func aConnectionThatCannotBeMadeEndsIt() async throws {
        try await onThread {
            let engine = try ScriptedServer { _ in }
            engine.stop()
            let problem = try problem(of: engine.url)
            #expect(problem.kind == .unreachable)
            #expect(problem.description.hasPrefix("cannot connect: "))
            #expect(problem.description.contains("(\(engine.url) is down or cannot be reached)"))
            // Nor does a connection that is not made in time.
            let full = try FullListener()
            let silent = try self.problem(of: full.url, within: .seconds(1))
            #expect(silent.kind == .silent)
            #expect(
                silent.description.hasPrefix("has not responded yet: no connection to \(full.url)/v1/models within "))
        }
    }

    /// A path that hangs leaves time for the others, and is named where they have no list either.
    @Test(arguments: [("/v1/models", "/api/tags"), ("/api/models", "/api/tags"), ("/v1/models", "/api/models")])
    func aHangingPath(path: String, good: String) async throws {
        try await onThread {
            let engine = try ScriptedServer { request in
                if request.target == path { return try request.connection.waitForHangUp() }
                try request.respond(request.target == good ? 200 : 404, try #require(Self.good[request.target]))
            }
            let models = models(of: engine.url)
            // On a busy machine the time that is left for the others can be too short once.
            try waitUntil("the others are asked") { (try? models.list(within: .seconds(3)))?.count == 1 }
            let without = try ScriptedServer { request in
                if request.target == path { return try request.connection.waitForHangUp() }
                try request.respond(404, "")
            }
            let problem = try problem(of: without.url, within: .seconds(1))
            #expect(problem.kind == .silent)
            #expect(problem.description.contains("has not responded yet: "))
            #expect(problem.description.contains("no response from \(without.url)\(path) within "))
        }
    }

    @Test func aHangingEngine() async throws {
        try await onThread {
            let engine = try ScriptedServer { try $0.connection.waitForHangUp() }
            let problem = try problem(of: engine.url, within: .milliseconds(200))
            #expect(problem.kind == .silent)
            #expect(problem.description.hasPrefix("has not responded yet: "))
        }
    }

    /// A path that has not responded may have models.
    @Test func anEmptyListBehindSilenceIsIgnored() async throws {
        try await onThread {
            let engine = try ScriptedServer { request in
                if request.target == "/v1/models" { return try request.connection.waitForHangUp() }
                try request.respond(200, #"{"data":[],"models":[]}"#)
            }
            try waitUntil("the last has responded") {
                let problem = try problem(of: engine.url, within: .seconds(3))
                #expect(problem.kind == .silent)
                return problem.description.contains("/api/tags lists no model")
            }
        }
    }

    @Test func aRefusedHostIsExplained() async throws {
        try await onThread {
            let engine = try ScriptedServer { try $0.respond(403, "") }
            let problem = try problem(of: engine.url)
            #expect(problem.kind == .hostRefused)
            let host = engine.url.dropFirst("http://".count)
            #expect(problem.description.contains("Ollama refuses the Host \(host); use localhost or an address"))
            #expect(problem.description.contains("\(engine.url)/api/tags responded with 403"))
        }
    }
}
