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
        #expect(last(.answered(status: 200, isCompletion: true, time: .seconds(1))) == .ok)
        #expect(last(.answered(status: 200, isCompletion: false, time: .seconds(1))) == .fail)
        #expect(last(.answered(status: 500, isCompletion: true, time: .seconds(1))) == .fail)
        #expect(last(.failed(.timedOut("total"))) == .warn)
        #expect(last(.failed(.broken("reset"))) == .fail)
    }
}
