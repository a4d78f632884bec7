import Testing

@testable import ProviderHandlers

/// A list as either API writes it, and what is none: the central system deletes the models that a list leaves out.
@Suite struct ModelListTests {
    private func list(_ body: String, _ shape: ModelList.Shape) throws(ModelList.Problem) -> [Model] {
        try ModelList(Array(body.utf8), shape).models
    }

    @Test func openAIs() throws {
        let body = #"""
            {"object":"list","data":[
            {"id":"llama3.2:latest","object":"model","created":1737486178,"owned_by":"library"},{"id":"b"}]}
            """#
        #expect(
            try list(body, .openAI) == [
                Model(id: "llama3.2:latest", created: 1_737_486_178, ownedBy: "library"),
                Model(id: "b", created: 0, ownedBy: "library"),
            ])
    }

    /// An invalid entry costs no other entry.
    @Test func oddEntries() throws {
        let body = #"""
            {"data":[{"id":"a","created":1737486178.5,"owned_by":7},{"id":"b","created":"2024"},{"name":"c"},7,null,
            {"id":"d","created":1e300},{"id":"e","created":-1},{"id":7}]}
            """#
        let models = try list(body, .openAI)
        #expect(models.map(\.id) == ["a", "b", "d", "e"])
        #expect(models.map(\.created) == [1_737_486_178, 0, 0, -1])
        #expect(models.first?.ownedBy == "library")
    }

    @Test func ollamas() throws {
        let body = #"""
            {"models":[{"name":"a","modified_at":"2025-01-21T19:02:58.123456789+01:00","size":1},
            {"name":"b","modified_at":"2025-01-21T18:02:58Z"},{"name":"c","modified_at":"never"},{"name":"d"},
            {"model":"e"},{"name":7,"model":"f"},{"name":"g","modified_at":7},{"size":1},null]}
            """#
        let models = try list(body, .ollama)
        #expect(models.map(\.id) == ["a", "b", "c", "d", "e", "f", "g"])
        #expect(models.map(\.created) == [1_737_482_578, 1_737_482_578, 0, 0, 0, 0, 0])
    }

    @Test(arguments: [
        (#"{"object":"list","data":null}"#, ModelList.Shape.openAI), (#"{"object":"list","data":[]}"#, .openAI),
        (#"{"data":[]}"#, .openAI), (#"{"data":null,"error":null,"success":true}"#, .openAI),
        (#"{"models":[]}"#, .ollama), (#"{"models":null}"#, .ollama),
    ])
    func noModelIsAList(body: String, shape: ModelList.Shape) throws {
        #expect(try list(body, shape).isEmpty)
    }

    @Test(arguments: [
        "", "null", "[]", "7", "<html>", "{}", #"{"object":"list"}"#, #"{"data":{"id":"x"}}"#, #"{"data":"none"}"#,
        #"{"data":7}"#, #"{"data":false}"#, #"{"models":[]}"#, #"{"error":"Unexpected endpoint"}"#,
        #"{"error":{"message":"no"},"data":null}"#, #"{"error":"down","data":[]}"#, #"{"error":true,"data":[]}"#,
        #"{"error":"half of the backends are down","data":[{"id":"a"}]}"#, #"{"success":false,"data":null}"#,
        #"{"object":"error","data":null}"#, #"{"object":"error","message":"no"}"#, #"[{"id":"a"}]"#,
        "{\"data\":[{\"id\":\"a\"}", "data: {\"data\":[]}\n\n",
    ])
    func noList(body: String) {
        #expect(throws: ModelList.Problem.noList) { try list(body, .openAI) }
    }

    @Test(arguments: [
        "{}", #"{"data":[]}"#, #"{"models":{"a":1}}"#, #"{"models":"none"}"#, #"{"error":"no","models":[]}"#,
        #"{"error":"no","models":null}"#,
    ])
    func noListOfOllamas(body: String) {
        #expect(throws: ModelList.Problem.noList) { try list(body, .ollama) }
    }

    /// An array of anything else does not mean that there is no model.
    @Test(arguments: [
        (#"{"data":[7]}"#, ModelList.Shape.openAI), (#"{"data":[null]}"#, .openAI),
        (#"{"data":[{"name":"a"}]}"#, .openAI),
        (#"{"data":["a","b"]}"#, .openAI), (#"{"models":[{"id":"a"}]}"#, .ollama), (#"{"models":["a"]}"#, .ollama),
    ])
    func nothingInItIsAModel(body: String, shape: ModelList.Shape) {
        #expect(throws: ModelList.Problem.noModelInIt) { try list(body, shape) }
    }
}
