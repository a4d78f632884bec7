import Testing

@testable import ProviderHandlers

@Suite struct EngineCheckTests {
    private func statuses(
        _ list: Result<EngineCheck.List, NoModelList>, _ probe: EngineCheck.Probe = .notAsked
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
        func last(_ probe: EngineCheck.Probe) -> Finding.Status? { statuses(.success(Self.list), probe).last }
        #expect(last(.completion(time: .seconds(1))) == .ok)
        #expect(last(.noCompletion("why")) == .fail)
        #expect(last(.failed(.timedOut("total"))) == .warn)
        #expect(last(.failed(.broken("reset"))) == .fail)
    }

    private func trouble(_ body: String, type: String = "text/event-stream", status: Int = 200) -> String? {
        let head = HTTPResponseHead(status: status, headers: [HTTPHeader("Content-Type", type)])
        return EngineCheck.trouble(of: HTTPResponse(head: head, body: Array(body.utf8)))
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
}
