import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct EngineModelsTests {
    private func models(of engine: ScriptedServer) -> EngineModels {
        var configuration = Configuration.Ollama()
        configuration.url = engine.url
        return EngineModels(http: HTTPClient(proxied: false), engine: configuration)
    }

    private func list(_ path: String, _ body: String) throws -> [Model] {
        let engine = try ScriptedServer { request in
            try request.target == path ? request.answer(200, body) : request.answer(404, "404 page not found")
        }
        return try models(of: engine).list(within: .seconds(30))
    }

    @Test(arguments: ["/api/models", "/v1/models"])
    func openAIsList(path: String) async throws {
        try await onThread {
            let body = #"""
                {"object":"list","data":[
                {"id":"llama3.2:latest","object":"model","created":1737486178,"owned_by":"library"},{"id":"b"}]}
                """#
            let list = try list(path, body)
            #expect(
                list == [
                    Model(id: "llama3.2:latest", created: 1_737_486_178, ownedBy: "library"),
                    Model(id: "b", created: 0, ownedBy: "library"),
                ])
        }
    }

    /// One that makes no sense costs no other.
    @Test func oddEntries() async throws {
        try await onThread {
            let body = #"""
                {"data":[{"id":"a","created":1737486178.5,"owned_by":7},{"id":"b","created":"2024"},{"name":"c"},7,null,
                {"id":"d","created":1e300},{"id":"e","created":-1}]}
                """#
            let list = try list("/v1/models", body)
            #expect(list.map(\.id) == ["a", "b", "d", "e"])
            #expect(list.map(\.created) == [1_737_486_178, 0, 0, -1])
            #expect(list.first?.ownedBy == "library")
        }
    }

    @Test func ollamasTags() async throws {
        try await onThread {
            let body = #"""
                {"models":[{"name":"a","modified_at":"2025-01-21T19:02:58.123456789+01:00","size":1},
                {"name":"b","modified_at":"2025-01-21T18:02:58Z"},{"name":"c","modified_at":"never"},{"name":"d"}]}
                """#
            let list = try list("/api/tags", body)
            #expect(list.map(\.id) == ["a", "b", "c", "d"])
            #expect(list.map(\.created) == [1_737_482_578, 1_737_482_578, 0, 0])
        }
    }

    @Test(arguments: [#"{"object":"list","data":null}"#, #"{"object":"list","data":[]}"#])
    func noModelIsAnAnswer(body: String) async throws {
        try await onThread {
            let list = try list("/v1/models", body)
            #expect(list.isEmpty)
        }
    }

    @Test func whichOneAnsweredIsRememberedUntilItIsGone() async throws {
        try await onThread {
            let isGone = Counter()
            let engine = try ScriptedServer { request in
                switch request.target {
                case "/v1/models" where isGone.value == 0: try request.answer(200, #"{"data":[{"id":"v1"}]}"#)
                case "/api/tags": try request.answer(200, #"{"models":[{"name":"tags"}]}"#)
                default: try request.answer(404, "")
                }
            }
            let models = models(of: engine)
            #expect(try models.list(within: .seconds(30)).map(\.id) == ["v1"])
            #expect(engine.requests.map { $0.split(separator: " ")[1] } == ["/api/models", "/v1/models"])
            #expect(try models.list(within: .seconds(30)).map(\.id) == ["v1"])
            #expect(engine.requests.count == 3)
            _ = isGone.next()
            #expect(try models.list(within: .seconds(30)).map(\.id) == ["tags"])
            #expect(
                engine.requests.dropFirst(3).map { $0.split(separator: " ")[1] }
                    == ["/v1/models", "/api/models", "/api/tags"])
            #expect(engine.connectionCount == 1)
        }
    }

    @Test(arguments: [
        (404, "", "none of /api/models, /v1/models, /api/tags is there (404)"),
        (500, "", "/api/models answered 500"),
        (200, "<html>", "/api/models answered with something that is no list of models"),
        (200, "{}", "/api/models answered with something that is no list of models"),
        (200, #"{"data":{"id":"x"}}"#, "/api/models answered with something that is no list of models"),
    ])
    func whatIsNoList(status: Int, body: String, cause: String) async throws {
        try await onThread {
            let engine = try ScriptedServer { try $0.answer(status, body) }
            #expect(throws: HTTPError.broken(cause)) { try models(of: engine).list(within: .seconds(30)) }
        }
    }

    @Test func anEngineThatHangs() async throws {
        try await onThread {
            let engine = try ScriptedServer { try $0.connection.waitForHangUp() }
            #expect(throws: HTTPError.timedOut("total")) {
                try models(of: engine).list(within: .milliseconds(50))
            }
        }
    }
}
