import Glibc
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct StreamingTests {
    /// The engine may send an event only once the previous event has left: nothing waits for more.
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
            let response = fixture.handle(client)
            #expect(response.text == (0..<5).map { "data: token \($0)\n\n" }.joined() + "data: [DONE]\n\n")
            #expect(response.header("Content-Type") == "text/event-stream")
            #expect(response.header("X-Accel-Buffering") == "no")
            #expect(response.header("Content-Length") == nil)
            #expect(response.flushed == response.body)
        }
    }

    /// A stream cut in any way ends with an error event on a separate line, and never with [DONE].
    @Test(arguments: ["", "data: a\n\n", "data: a\r\n\r\n", "data: a\n", "data: {\"unfini"])
    func aCutStreamSaysSo(sent: String) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                if !sent.isEmpty { try request.chunk(sent) }
                request.closeAfterwards()
            })
            let response = fixture.complete()
            #expect(response.status == 200)
            #expect(response.text.hasPrefix(sent))
            let rest = response.text.dropFirst(sent.count)
            let error =
                #"data: {"error":{"code":"engine_unreachable","message":"The engine broke off its response","#
                + #""param":null,"type":"server_error"}}"# + "\n\n"
            #expect(
                rest == (sent.isEmpty || sent.hasSuffix("\n\n") || sent.hasSuffix("\r\n\r\n") ? "" : "\n\n") + error)
            #expect(fixture.log.count(containing: "cut=engine_unreachable") == 1)
        }
    }

    /// Where only the end of the connection ends a stream, `[DONE]` or a reason to finish tells a whole one from a cut one.
    /// A model that writes these words has not ended the stream (found by `make fuzz TARGET=engine-response`).
    @Test(arguments: [
        ("data: a\n\ndata: [DONE]\n\n", false), ("data: a\n\n", true), ("data: [DONE]", false),
        ("data: a\r\n\r\ndata: [DONE]\r\n\r\n", false), ("data: \"data: [DONE]\"\n\n", true),
        ("data: 0123456789, data: [DONE]\n\n", true), ("data: 012345678data: [DONE]", true),
        ("data:a\n\ndata:[DONE]\n\n", false), ("data: a\r\rdata: [DONE]\r\r", false),
        ("data: a\n\ndata: [DONE]\n\n: bye\n\nevent: end\ndata: {}\n\n", false),
        (#"data: {"choices":[{"finish_reason":"stop"}]}"# + "\n\n", false),
        (#"data: {"choices":[{"finish_reason":null}]}"# + "\n\n", true),
    ])
    func aStreamThatEndsWithItsConnection(sent: String, isCut: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + sent)
                request.closeAfterwards()
            })
            let response = fixture.complete()
            #expect(response.text.hasPrefix(sent))
            #expect(response.text.contains("engine_unreachable") == isCut)
        }
    }

    /// Ollama ends a stream properly when its runner has died, or when a model repeats itself (server/routes.go).
    @Test(arguments: [
        ([#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#], true),
        (
            [
                #"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
                #"{"model":"","choices":[{"delta":{"content":""},"finish_reason":null}]}"#,
            ], true
        ),
        (
            [
                #"{"choices":[{"text":"a","finish_reason":null}]}"#,
                #"{"choices":[{"text":"","finish_reason":"length"}]}"#,
            ], false
        ),
        ([#"{"choices":[{"text":"a"}]}"#, "[DONE]"], false),
        // Not in OpenAI's shape: the end of the stream is not known here.
        ([#"{"token":"a"}"#, "a"], false),
        // The engine itself has told of its trouble.
        ([#"{"choices":[{"delta":{},"finish_reason":null}]}"#, #"{"error":{"message":"out of memory"}}"#], false),
    ])
    func aStreamThatEndsProperlyMayBeCut(events: [String], isCut: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream()
                for event in events { try request.event(event) }
                try request.endStream()
            })
            let response = fixture.complete()
            let sent = events.map { "data: \($0)\n\n" }.joined()
            #expect(response.text.hasPrefix(sent))
            #expect(response.text.dropFirst(sent.count).hasPrefix("data: {\"error\"") == isCut)
            #expect((response.text.count == sent.count) == !isCut)
            #expect(fixture.log.count(containing: "cut=engine_unreachable") == (isCut ? 1 : 0))
        }
    }

    /// No client could read a plain event behind compressed bytes.
    @Test(arguments: ["gzip", "x-unknown, gzip", "br"], [true, false])
    func aCodedStreamPassesUnchanged(coding: String, isBroken: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                try request.startStream(headers: ["Content-Encoding: \(coding)"])
                try request.chunk("\u{1F}coded")
                isBroken ? request.closeAfterwards() : try request.endStream()
            })
            let response = fixture.complete()
            #expect(response.header("Content-Encoding") == coding)
            #expect(response.text == "\u{1F}coded")
            #expect(response.isBrokenOff == isBroken)
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

    /// The time in which the client takes nothing is not the engine's silence.
    @Test func aSlowClientDoesNotTimeOut() async throws {
        try await onThread {
            let client = FakeClient.completion()
            // Stands for a client with a full connection: longer than the limit on the engine's silence.
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

    @Test func aSilentStreamTimesOut() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.ollama.idleTimeout = .milliseconds(50) },
                engine: { request in
                    try request.startStream()
                    try request.event("a")
                    try request.connection.waitForHangUp()
                })
            let response = fixture.complete()
            #expect(response.text.hasPrefix("data: a\n\ndata: {\"error\":{\"code\":\"engine_timeout\""))
        }
    }

    /// A stream is one whatever the status, and anything else is not.
    @Test(arguments: [
        ("text/event-stream; charset=utf-8", true), ("Text/Event-Stream", true), ("application/json", false),
        ("text/event-streams", false),
    ])
    func theContentTypeDecides(type: String, isStream: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { try $0.respond(200, "data: [DONE]\n\n", type: type) })
            let response = fixture.complete()
            #expect((response.header("X-Accel-Buffering") != nil) == isStream)
            #expect((response.header("Content-Length") == nil) == isStream)
            #expect(response.header("Content-Type") == type)
        }
    }

    /// koboldcpp and mlx_lm.server respond in this way: only the JSON itself shows whether it is whole.
    @Test(arguments: [
        (#"{"choices":[]}"#, "application/json", 200), (#"{"choices":["#, "application/json", 502),
        (" {\"a\":1}\r\n", "application/json; charset=utf-8", 200), ("", "application/json", 502),
        ("{} {}", "application/json", 502), (#"{"a":1}"#, "Application/Problem+JSON", 200),
        (#"{"a":"#, "application/problem+json", 502), (#"{"a":"#, "text/plain", 200),
        ("{}\n{}\n", "application/x-ndjson", 200),
    ])
    func aResponseThatEndsWithItsConnection(body: String, type: String, status: Int) async throws {
        // A transfer coding other than chunks delimits nothing either (RFC 9112, 6.3).
        for field in ["X: 1", "Transfer-Encoding: identity", "Transfer-Encoding: identity\r\nContent-Length: 9000"] {
            try await onThread {
                let fixture = try PipelineFixture(engine: { request in
                    _ = try request.bodyText()
                    try request.connection.send("HTTP/1.1 200 OK\r\n\(field)\r\nContent-Type: \(type)\r\n\r\n" + body)
                    request.closeAfterwards()
                })
                let response = fixture.complete()
                #expect(response.status == status, "\(field)")
                if status == 200 {
                    #expect(response.text == body)
                } else {
                    #expect(response.code == "engine_unreachable")
                }
            }
        }
    }

    @Test(arguments: [(#"{"a":1}"#, 200), (#" {"a":"#, 502), ("[1,", 502), ("plain", 200), ("", 200)])
    func aResponseWithoutATypeThatEndsWithItsConnection(body: String, status: Int) async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.0 200 OK\r\n\r\n" + body)
                request.closeAfterwards()
            })
            #expect(fixture.complete().status == status)
        }
    }

    @Test func aCodedResponseThatEndsWithItsConnectionPasses() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send(
                    "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\ncoded")
                request.closeAfterwards()
            })
            let response = fixture.complete()
            #expect(response.status == 200)
            #expect(response.text == "coded")
        }
    }

    /// nginx would respond in the worker's place, with a page that says that the worker is not there.
    @Test(arguments: [12 * 1024, 15 * 1024, 20 * 1024], [true, false])
    func aHeadThatNginxCannotTakeIsRefused(size: Int, isStream: Bool) async throws {
        try await onThread {
            let type = isStream ? "text/event-stream" : "application/json"
            let fixture = try PipelineFixture(engine: { request in
                let cookie = "Set-Cookie: a=" + String(repeating: "x", count: 1000)
                try request.respond(
                    200, isStream ? "data: [DONE]\n\n" : "{}", type: type,
                    headers: Array(repeating: cookie, count: size / (cookie.count + 2)))
            })
            let response = fixture.complete()
            if size <= ResponseRelay.headLimit {
                #expect(response.status == 200)
            } else {
                #expect(response.status == 502)
                #expect(response.code == "engine_unreachable")
                #expect(fixture.log.count(containing: "the response's head has") == 1)
            }
        }
    }

    @Test func aBufferedResponseThatIsCutIsRefused() async throws {
        try await onThread {
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":")
                request.closeAfterwards()
            })
            let response = fixture.complete()
            #expect(response.status == 502)
            #expect(response.code == "engine_unreachable")
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
            let response = fixture.complete()
            switch (excess, isCut) {
            case (0, true):
                #expect(response.status == 502)
            case (1, true):
                // Buffered up to the limit, which the cut response just reaches.
                #expect(response.status == 502)
            default:
                #expect(response.status == 200)
                #expect(response.header("Content-Length") == String(size))
                #expect(response.body.count == size)
                #expect(!response.isBrokenOff)
            }
        }
    }

    @Test func aLargeResponseThatIsCutIsBrokenOff() async throws {
        try await onThread {
            let size = ResponseRelay.holdLimit + 100_000
            let fixture = try PipelineFixture(engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                try request.connection.send(Array(repeating: 0x61, count: size - 1))
                request.closeAfterwards()
            })
            let response = fixture.complete()
            #expect(response.status == 200)
            #expect(response.body.count == size - 1)
            #expect(response.isBrokenOff)
        }
    }
}

extension FakeClient {
    /// Blocks until what has been sent satisfies the condition.
    func waitUntil(_ condition: (Response) -> Bool) throws {
        try TestSupport.waitUntil("the response comes") { condition(response) }
    }
}
