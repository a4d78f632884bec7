import Glibc
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct StreamingTests {
    /// The engine may send an event only once the one before has left: nothing waits for more.
    @Test func eachEventLeavesAsItComes() async throws {
        try await onThread {
            let client = FakeClient.completion()
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                try client.waitUntil { $0.status == 200 }
                for number in 0..<5 {
                    try request.event("token \(number)")
                    try client.waitUntil {
                        String(decoding: $0.flushed, as: UTF8.self).hasSuffix("token \(number)\n\n")
                    }
                }
                try request.event("[DONE]")
                try request.endStream()
            })
            let answer = fixture.handle(client)
            #expect(answer.text == (0..<5).map { "data: token \($0)\n\n" }.joined() + "data: [DONE]\n\n")
            #expect(answer.header("Content-Type") == "text/event-stream")
            #expect(answer.header("X-Accel-Buffering") == "no")
            #expect(answer.header("Content-Length") == nil)
            #expect(answer.flushed == answer.body)
        }
    }

    /// A stream cut in any way ends with an event that says so, on a line of its own, and never with [DONE].
    @Test(arguments: ["", "data: a\n\n", "data: a\r\n\r\n", "data: a\n", "data: {\"unfini"])
    func aCutStreamSaysSo(sent: String) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                if !sent.isEmpty { try request.chunk(sent) }
                request.closeAfterwards()
            })
            let answer = fixture.complete()
            #expect(answer.status == 200)
            #expect(answer.text.hasPrefix(sent))
            let rest = answer.text.dropFirst(sent.count)
            let error =
                #"data: {"error":{"code":"engine_unreachable","message":"The engine broke off its answer","#
                + #""param":null,"type":"server_error"}}"# + "\n\n"
            #expect(
                rest == (sent.isEmpty || sent.hasSuffix("\n\n") || sent.hasSuffix("\r\n\r\n") ? "" : "\n\n") + error)
            #expect(fixture.log.count(containing: "cut=engine_unreachable") == 1)
        }
    }

    /// Where only the end of the connection ends the stream, [DONE] tells a whole one from one that was cut; a model that
    /// writes these words has not ended it (found by `make fuzz TARGET=engine-answer`).
    @Test(arguments: [
        ("data: a\n\ndata: [DONE]\n\n", false), ("data: a\n\n", true), ("data: [DONE]", false),
        ("data: a\r\n\r\ndata: [DONE]\r\n\r\n", false), ("data: \"data: [DONE]\"\n\n", true),
        ("data: 0123456789, data: [DONE]\n\n", true), ("data: 012345678data: [DONE]", true),
    ])
    func aStreamThatEndsWithItsConnection(sent: String, isCut: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sent)
                request.closeAfterwards()
            })
            let answer = fixture.complete()
            #expect(answer.text.hasPrefix(sent))
            #expect(answer.text.contains("engine_unreachable") == isCut)
        }
    }

    /// An engine that closes without HTTP's own end: all was said already.
    @Test func nothingComesAfterDone() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                try request.event("a")
                try request.event("[DONE]")
                request.closeAfterwards()
            })
            #expect(fixture.complete().text == "data: a\n\ndata: [DONE]\n\n")
        }
    }

    /// The time in which nobody could take what the engine sent is not the engine's silence.
    @Test func aClientThatReadsSlowlyIsNoTimeOut() async throws {
        try await onThread {
            let client = FakeClient.completion()
            // Stands for a client whose connection is full: longer than the limit on the engine's silence.
            client.onFlush = { usleep(60_000) }
            let fixture = try PipelineFixture(
                configure: { $0.ollama.idleTimeout = .milliseconds(20) },
                engine: { request in
                    try request.startStream()
                    for _ in 0..<5 { try request.event("a") }
                    try request.event("[DONE]")
                    try request.endStream()
                })
            #expect(fixture.handle(client).text == String(repeating: "data: a\n\n", count: 5) + "data: [DONE]\n\n")
        }
    }

    @Test func aStreamThatFallsSilentIsATimeOut() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.ollama.idleTimeout = .milliseconds(50) },
                engine: { request in
                    try request.startStream()
                    try request.event("a")
                    try request.connection.waitForHangUp()
                })
            let answer = fixture.complete()
            #expect(answer.text.hasPrefix("data: a\n\ndata: {\"error\":{\"code\":\"engine_timeout\""))
        }
    }

    /// A stream is one whatever the status, and anything else is not.
    @Test(arguments: [
        ("text/event-stream; charset=utf-8", true), ("Text/Event-Stream", true), ("application/json", false),
        ("text/event-streams", false),
    ])
    func theContentTypeDecides(type: String, isStream: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { try $0.answer(200, "data: [DONE]\n\n", type: type) })
            let answer = fixture.complete()
            #expect((answer.header("X-Accel-Buffering") != nil) == isStream)
            #expect((answer.header("Content-Length") == nil) == isStream)
            #expect(answer.header("Content-Type") == type)
        }
    }

    @Test func anotherAnswerThatIsCutIsNoAnswer() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":")
                request.closeAfterwards()
            })
            let answer = fixture.complete()
            #expect(answer.status == 502)
            #expect(answer.code == "engine_unreachable")
        }
    }

    @Test(arguments: [0, 1], [true, false])
    func moreThanCanBeHeldBackIsPassedOn(excess: Int, isCut: Bool) async throws {
        try await onThread {
            let size = ResponseRelay.holdLimit + excess
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                try request.connection.send(Array(repeating: 0x61, count: isCut ? size - 1 : size))
                request.closeAfterwards()
            })
            let answer = fixture.complete()
            switch (excess, isCut) {
            case (0, true):
                #expect(answer.status == 502)
            case (1, true):
                // Held back up to the limit, which the cut answer just reaches.
                #expect(answer.status == 502)
            default:
                #expect(answer.status == 200)
                #expect(answer.header("Content-Length") == String(size))
                #expect(answer.body.count == size)
                #expect(!answer.isBrokenOff)
            }
        }
    }

    @Test func aLargeAnswerThatIsCutIsBrokenOff() async throws {
        try await onThread {
            let size = ResponseRelay.holdLimit + 100_000
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                try request.connection.send(Array(repeating: 0x61, count: size - 1))
                request.closeAfterwards()
            })
            let answer = fixture.complete()
            #expect(answer.status == 200)
            #expect(answer.body.count == size - 1)
            #expect(answer.isBrokenOff)
        }
    }
}

extension FakeClient {
    /// Blocks until what has been sent satisfies the condition.
    func waitUntil(_ condition: (Answer) -> Bool) throws {
        try TestSupport.waitUntil("the answer comes") { condition(answer) }
    }
}
