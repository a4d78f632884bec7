import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct EngineCheckTests {
    private func statuses(
        _ list: Result<EngineCheck.List, NoModelList>, _ probe: EngineProbe.Outcome = .notAsked
    ) -> [Finding.Status] {
        EngineCheck(url: "http://e", list: list, time: .milliseconds(5), probe: probe).findings.map(\.status)
    }

    private static let list = EngineCheck.List(path: "/v1/models", models: ["m"])

    @Test func aList() {
        #expect(statuses(.success(Self.list)) == [.ok, .ok, .skip])
        #expect(statuses(.success(.init(path: "/v1/models", models: []))) == [.ok, .warn, .skip])
    }

    @Test(arguments: [
        (NoModelList.Kind.unreachable, [Finding.Status.fail, .skip, .skip]), (.silent, [.fail, .skip, .skip]),
        (.hostRefused, [.ok, .fail, .skip]), (.noList, [.ok, .fail, .skip]),
    ])
    func noList(kind: NoModelList.Kind, expected: [Finding.Status]) {
        #expect(statuses(.failure(NoModelList(kind: kind, description: "d"))) == expected)
    }

    @Test func aProbe() {
        func last(_ probe: EngineProbe.Outcome) -> Finding.Status? { statuses(.success(Self.list), probe).last }
        #expect(last(.completion(model: "m", time: .seconds(1))) == .ok)
        #expect(last(.noCompletion("why")) == .fail)
        #expect(last(.failed(.timedOut("total"))) == .warn)
        #expect(last(.failed(.broken("reset"))) == .fail)
    }

    private func trouble(_ body: String, type: String = "text/event-stream", status: Int = 200) -> String? {
        let head = HTTPResponseHead(status: status, headers: [HTTPHeader("Content-Type", type)])
        return EngineProbe.trouble(of: HTTPResponse(head: head, body: Array(body.utf8)))
    }

    @Test func whatTheWorkerWouldCallWholeIsACompletion() {
        let token = #"data: {"choices":[{"index":0,"finish_reason":null}]}"# + "\n\n"
        let end = #"data: {"choices":[{"index":0,"finish_reason":"length"}]}"# + "\n\n"
        #expect(trouble(token + "data: [DONE]\n\n") == nil)
        #expect(trouble(token + end) == nil)
        #expect(trouble(token)?.contains("[DONE]") == true)
        #expect(trouble("") != nil)
        #expect(trouble(token + #"data: {"error":{"message":"no memory"}}"# + "\n\ndata: [DONE]\n\n") != nil)
        #expect(trouble(#"{"choices":[{"index":0}]}"#, type: "application/json") == nil)
        #expect(trouble(#"{"choices":[{"ind"#, type: "application/json") != nil)
        #expect(trouble("<html>", type: "text/html") != nil)
        #expect(trouble(token + end, status: 500)?.contains("500") == true)
        #expect(trouble(token + end, type: "text/event-stream; x=" + String(repeating: "x", count: 20_000)) != nil)
    }

    /// The models in the order in which they are asked, and what comes of it.
    private func ask(
        loaded: String = "", completing completes: @escaping @Sendable (String) -> Int = { _ in 200 }
    ) throws -> (asked: [String], outcome: EngineProbe.Outcome) {
        let asked = SharedValue<[String]>([])
        let engine = try ScriptedServer { request in
            guard request.method == "POST" else { return try request.respond(200, #"{"models":[\#(loaded)]}"#) }
            let model = try #require(try request.bodyText().firstMatch(of: /"model":"([a-z]+)"/)).output.1
            asked.value.append(String(model))
            try request.respond(completes(String(model)), #"{"choices":[{"index":0}]}"#)
        }
        let outcome = EngineProbe(url: engine.url, http: HTTPClient(proxied: false)).ask(["embed", "chat", "other"])
        return (asked.value, outcome)
    }

    @Test func aLoadedModelIsAskedFirst() async throws {
        let found = try await onThread { try self.ask(loaded: #"{"name":"other"}"#) }
        #expect(found.asked == ["other"])
        guard case .completion("other", _) = found.outcome else { throw NeverHappened(description: "\(found)") }
    }

    @Test func aModelThatRefusesChatIsPassedOver() async throws {
        let found = try await onThread { try self.ask { $0 == "embed" ? 400 : 200 } }
        #expect(found.asked == ["embed", "chat"])
        guard case .completion("chat", _) = found.outcome else { throw NeverHappened(description: "\(found)") }
    }

    @Test func noModelCompletes() async throws {
        let refused = try await onThread { try self.ask { _ in 400 } }
        #expect(refused.asked == ["embed", "chat", "other"])
        #expect(refused.outcome == .noCompletion("3 of 3 models were asked, and none generates text (status 400)"))
        // Not a model's, but the engine's fault.
        let broken = try await onThread { try self.ask { _ in 500 } }
        #expect(broken.asked == ["embed"])
        #expect(broken.outcome == .noCompletion("embed: the engine responds with 500"))
    }
}
