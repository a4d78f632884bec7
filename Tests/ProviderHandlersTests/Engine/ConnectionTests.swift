import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct ConnectionTests {
    @Test func connectionsAreKeptAndShared() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            for _ in 0..<32 { #expect(fixture.complete().status == 200) }
            #expect(fixture.engine.connectionCount == 1)
            DispatchQueue.concurrentPerform(iterations: 100) { _ in #expect(fixture.complete().status == 200) }
            // As many as ran at once, which is no more than there are processors.
            #expect(fixture.engine.connectionCount <= ProcessInfo.processInfo.activeProcessorCount + 1)
        }
    }

    /// A kept connection that the engine closes when it is used again.
    @Test func aStaleConnectionIsReplaced() async throws {
        try await onThread {
            let requests = Counter()
            let fixture = try PipelineFixture(engine: { request in
                if requests.next() == 1 { return request.closeAfterwards() }
                try request.respond(200, "{}")
            })
            #expect(fixture.complete().status == 200)
            #expect(fixture.complete().status == 200)
            #expect(fixture.engine.connectionCount == 2)
            #expect(fixture.engine.requests.count == 3)
        }
    }

    /// An engine that closes each connection at its second request, in whichever way. libcurl alone gives up at the sixth.
    @Test(arguments: [false, true], ["small", "stream", "large"])
    func everyStaleConnectionIsReplaced(isReset: Bool, kind: String) async throws {
        try await onThread {
            let connections = FirstUses()
            let fixture = try PipelineFixture(engine: { request in
                guard connections.isFirst(request.connection) else {
                    return isReset ? request.connection.reset() : request.closeAfterwards()
                }
                guard kind == "stream" else { return try request.respond(200, "{}") }
                try request.startStream()
                try request.event("[DONE]")
                try request.endStream()
            })
            let body = String(repeating: "x", count: kind == "large" ? 200_000 : 2)
            for _ in 0..<60 { #expect(fixture.complete(body).status == 200) }
            #expect(fixture.engine.connectionCount >= 60)
        }
    }

    @Test(arguments: [false, true])
    func everyStaleConnectionToCentralIsReplaced(isReset: Bool) async throws {
        try await onThread {
            let connections = FirstUses()
            let fixture = try PipelineFixture(central: { request in
                guard connections.isFirst(request.connection) else {
                    return isReset ? request.connection.reset() : request.closeAfterwards()
                }
                try FakeCentral.valid(request)
            })
            for _ in 0..<60 { #expect(fixture.complete(hmac: "abc").status == 200) }
        }
    }

    @Test func aFreshConnectionThatBreaksIsNotTriedAgain() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                request.closeAfterwards()
            })
            #expect(fixture.complete().code == "engine_unreachable")
            #expect(fixture.engine.requests.count == 1)
        }
    }

    @Test func nothingIsTriedAgainOnceTheResponseHasBegun() async throws {
        try await onThread {
            let requests = Counter()
            let fixture = try PipelineFixture(engine: { request in
                if requests.next() == 0 { return try request.respond(200, "{}") }
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                request.closeAfterwards()
            })
            #expect(fixture.complete().status == 200)
            #expect(fixture.complete().code == "engine_unreachable")
            #expect(fixture.engine.requests.count == 2)
        }
    }

    /// A large body is not kept, so it cannot be sent again: it never travels on a connection that may be dead.
    @Test func aLargeBodyHasAFreshConnection() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            let body = String(repeating: "x", count: 100_000)
            for _ in 0..<8 { #expect(fixture.complete(body).status == 200) }
            #expect(fixture.engine.connectionCount == 8)
        }
    }

    /// An engine that refuses a body need not read it: its response counts, not the broken upload.
    @Test func aResponseBeforeTheBodyIsSent() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.body.next()
                try request.connection.send(
                    "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull")
                try request.connection.waitForHangUp()
            })
            let response = fixture.complete(String(repeating: "x", count: 30_000_000))
            #expect(response.status == 413)
            #expect(response.text == "full")
        }
    }

    /// After an interim response the engine may still load its model.
    @Test func anInterimResponseDoesNotStartTheIdleClock() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: {
                    $0.ollama.firstByteTimeout = .milliseconds(300)
                    $0.ollama.idleTimeout = .milliseconds(10)
                },
                engine: { request in
                    _ = try request.bodyText()
                    try request.connection.send("HTTP/1.1 103 Early Hints\r\n\r\n")
                    try request.connection.waitForHangUp()
                })
            #expect(fixture.complete().code == "engine_timeout")
            #expect(fixture.log.count(containing: "cause=first byte time-out") == 1)
        }
    }

    @Test func aMissingEngine() async throws {
        try await onThread {
            let fixture = try PipelineFixture()
            fixture.engine.stop()
            let response = fixture.complete()
            #expect(response.status == 502)
            #expect(response.code == "engine_unreachable")
        }
    }

    /// A listening socket with a full queue does not even refuse (listen(2)).
    @Test func aConnectWithoutAReply() async throws {
        try await onThread {
            let full = try FullListener()
            let fixture = try PipelineFixture(configure: {
                $0.ollama.url = full.url
                $0.ollama.connectTimeout = .milliseconds(50)
                // Starts only with a connection.
                $0.ollama.firstByteTimeout = .milliseconds(1)
            })
            let response = fixture.complete()
            #expect(response.status == 504)
            #expect(response.code == "engine_timeout")
            #expect(fixture.log.count(containing: "cause=connect time-out") == 1)
        }
    }

    @Test func anEngineThatDoesNotSpeakHTTP() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("220 mail.example ESMTP\r\n")
                request.closeAfterwards()
            })
            #expect(fixture.complete().code == "engine_unreachable")
        }
    }

    @Test func aSilentEngine() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.ollama.firstByteTimeout = .milliseconds(50) },
                engine: { try $0.connection.waitForHangUp() })
            let response = fixture.complete()
            #expect(response.status == 504)
            #expect(response.code == "engine_timeout")
            #expect(fixture.log.count(containing: "cause=first byte time-out") == 1)
        }
    }

    @Test func anEngineFallsSilent() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.ollama.idleTimeout = .milliseconds(50) },
                engine: { request in
                    _ = try request.bodyText()
                    try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                    try request.connection.waitForHangUp()
                })
            #expect(fixture.complete().code == "engine_timeout")
        }
    }
}
