import Synchronization
import TestSupport
import Testing

@testable import ProviderHandlers

/// A client that leaves, and a worker that stops, end what the engine does for them.
@Suite struct CancellationTests {
    enum Moment: CaseIterable {
        case validatingHMAC
        case beforeTheFirstByte
        case afterTheFirstToken
        case insideABufferedResponse
        case whileTheBodyIsSent
    }

    @Test(arguments: Moment.allCases)
    func aLeavingClientIsNoticed(moment: Moment) async throws {
        try await onThread {
            let size = moment == .whileTheBodyIsSent ? 50_000_000 : 100
            let client = FakeClient.completion(String(repeating: "x", count: size), hmac: "abc")
            let hungUp = Gate()
            let handled = Gate()
            let fixture = try PipelineFixture(
                configure: { $0.server.maxBodyBytes = size },
                central: { request in
                    guard moment == .validatingHMAC else { return try FakeCentral.valid(request) }
                    _ = try request.bodyText()
                    client.leave()
                    try request.connection.waitForHangUp()
                    hungUp.open()
                },
                engine: { request in
                    switch moment {
                    case .validatingHMAC: Issue.record("sent on without a verdict")
                    case .beforeTheFirstByte: _ = try request.bodyText()
                    case .afterTheFirstToken:
                        try request.startStream()
                        try request.event("a")
                        try client.waitUntil { $0.text == "data: a\n\n" }
                    case .insideABufferedResponse:
                        _ = try request.bodyText()
                        try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                    case .whileTheBodyIsSent: _ = try request.body.next()
                    }
                    client.leave()
                    if moment == .whileTheBodyIsSent {
                        // Reads nothing, so that only the hang-up can end the transfer.
                        try handled.wait()
                    } else {
                        try request.connection.waitForHangUp()
                    }
                    hungUp.open()
                })
            fixture.handle(client)
            handled.open()
            try hungUp.wait()
            #expect(fixture.log.count(containing: "cut=client_gone") == 1)
            #expect(fixture.admission.inFlight == 0)
        }
    }

    @Test func aStoppingWorkerEndsAStreamWithAnEvent() async throws {
        try await onThread {
            let client = FakeClient.completion()
            let admission = Box<Admission>()
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                try request.event("a")
                try client.waitUntil { $0.text == "data: a\n\n" }
                admission.value?.cutAll()
                try request.connection.waitForHangUp()
            })
            admission.value = fixture.admission
            let response = fixture.handle(client)
            #expect(response.text.hasPrefix("data: a\n\ndata: {\"error\":{\"code\":\"shutting_down\""))
        }
    }

    @Test func aStoppingWorkerRefusesRequestsWithoutAResponse() async throws {
        try await onThread {
            let admission = Box<Admission>()
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                admission.value?.cutAll()
                try request.connection.waitForHangUp()
            })
            admission.value = fixture.admission
            let response = fixture.complete()
            #expect(response.status == 503)
            #expect(response.code == "shutting_down")
        }
    }
}

/// What a script needs and is made only after it.
private final class Box<Value: Sendable>: Sendable {
    private let state = Mutex<Value?>(nil)

    var value: Value? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
