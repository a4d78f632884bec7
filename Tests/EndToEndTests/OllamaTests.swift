import Foundation
import TestSupport
import Testing

/// An engine that does all that Ollama does, behind the worker and behind nginx.
@Suite struct OllamaTests {
    static let modes = ["worker", "nginx"]

    private static func deployment(_ mode: String, _ ollama: FakeOllama = FakeOllama()) async throws -> Deployment {
        // Ollama's usual address, which `ollama.url` names by its default host.
        try await Deployment(forward: mode, namesEngine: "localhost", engine: { try ollama.serve($0) })
    }

    private static func body(_ words: String, stream: Bool = true, model: String = "m") -> String {
        #"{"model":"\#(model)","messages":[{"role":"user","content":"\#(words)"}],"stream":\#(stream)}"#
    }

    /// Ollama refuses any Host that is not local: it gets the host of `ollama.url`.
    @Test(arguments: modes, [true, false])
    func aCompletionIsServed(mode: String, isStream: Bool) async throws {
        let deployment = try await Self.deployment(mode)
        try await onThread {
            let response = try deployment.complete(Self.body("hello", stream: isStream))
            #expect(response.status == 200)
            #expect(response.body.contains("token 2"))
            #expect(response.body.hasSuffix("data: [DONE]\n\n") == isStream)
            #expect(!response.body.contains("error"))
        }
    }

    /// `usage` comes on each event of a text completion, and behind the last of a chat with no choices.
    @Test(arguments: modes, ["/v1/chat/completions", "/v1/completions"])
    func usageIsPassedOn(mode: String, path: String) async throws {
        let deployment = try await Self.deployment(mode)
        try await onThread {
            let body =
                #"{"model":"m","prompt":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#
            let response = try deployment.fetch("POST", path, body: body)
            #expect(response.status == 200)
            #expect(response.body.contains(#""total_tokens":8"#))
            #expect(response.body.hasSuffix("data: [DONE]\n\n"))
        }
    }

    @Test(arguments: modes)
    func itsErrorsComeUnchanged(mode: String) async throws {
        let deployment = try await Self.deployment(mode)
        try await onThread {
            let unknown = try deployment.complete(Self.body("a", model: "other"))
            #expect(unknown.status == 404)
            #expect(
                unknown.body
                    == #"{"error":{"code":null,"message":"model 'other' not found","param":null,"type":"not_found_error"}}"#
            )
            let dead = try deployment.complete(Self.body(FakeOllama.Prompt.dieAtOnce))
            #expect(dead.status == 500)
            #expect(dead.body.contains(#""type":"api_error""#))
        }
    }

    /// The coding belongs to the body (RFC 9110, 8.4): without its name Ollama would read noise.
    @Test(arguments: modes)
    func aCodedBodyKeepsItsName(mode: String) async throws {
        let deployment = try await Self.deployment(mode)
        try await onThread {
            let gzip = try deployment.complete("\u{1F}coded", headers: ["Content-Encoding: gzip"])
            #expect(gzip.status == 400)
            #expect(gzip.body.contains("invalid character"))
            let zstd = try deployment.complete("coded", headers: ["Content-Encoding: zstd"])
            #expect(zstd.status == 200)
        }
    }

    /// A runner that dies, and a model that repeats itself: the stream ends properly and is cut all the same. The worker adds
    /// an error event; nginx passes the stream on unchanged.
    @Test(arguments: modes, [FakeOllama.Prompt.die, FakeOllama.Prompt.repeatYourself])
    func aStreamThatOllamaGivesUpIsCut(mode: String, prompt: String) async throws {
        let deployment = try await Self.deployment(mode)
        try await onThread {
            let response = try deployment.complete(Self.body(prompt))
            #expect(response.status == 200)
            #expect(!response.body.contains("[DONE]"))
            let last = response.body.split(separator: "\n\n").last ?? ""
            #expect(last.contains(#""code":"engine_unreachable""#) == (mode == "worker"))
            guard mode == "worker" else { return }
            try deployment.waitUntil("the worker says why") {
                deployment.worker.standardError.contains("without [DONE] and without a finish_reason")
            }
        }
    }

    /// The others wait without a byte, and are served one after the other.
    @Test(arguments: modes)
    func itServesOneAtATime(mode: String) async throws {
        let ollama = FakeOllama()
        let deployment = try await Self.deployment(mode, ollama)
        try await onThread {
            let first = try deployment.startCompletion(Self.body(FakeOllama.Prompt.goOn))
            _ = try first.response().body.next()
            let leaver = try deployment.startCompletion(Self.body("hello"))
            try deployment.waitUntil("one waits") { ollama.queued == 1 }
            let second = try deployment.startCompletion(Self.body("hello"))
            try deployment.waitUntil("two wait") { ollama.queued == 2 }
            leaver.connection.close()
            try ollama.stopped.wait()
            #expect(ollama.queued == 1)
            first.connection.close()
            try ollama.stopped.wait()
            let response = try second.response()
            #expect(response.status == 200)
            #expect(String(decoding: try response.body.all(), as: UTF8.self).hasSuffix("data: [DONE]\n\n"))
        }
    }

    /// Its 503 has no Retry-After, and gets none here.
    @Test(arguments: modes)
    func aFullQueueComesUnchanged(mode: String) async throws {
        let ollama = FakeOllama(maxQueue: 0)
        let deployment = try await Self.deployment(mode, ollama)
        try await onThread {
            let first = try deployment.startCompletion(Self.body(FakeOllama.Prompt.goOn))
            _ = try first.response().body.next()
            let refused = try deployment.complete(Self.body("hello"))
            #expect(refused.status == 503)
            #expect(refused.body.contains(#""type":"api_error""#))
            #expect(refused.head["Retry-After"] == nil)
            first.connection.close()
        }
    }

    /// Kept connections that die at their use, while requests keep coming.
    @Test(arguments: modes)
    func everyDeadConnectionIsReplaced(mode: String) async throws {
        let ollama = FakeOllama()
        let firsts = FirstUses()
        let deployment = try await Deployment(
            forward: mode, namesEngine: "localhost",
            engine: { request in
                guard firsts.isFirst(request.connection) else { return request.closeAfterwards() }
                try ollama.serve(request)
            })
        try await onThread {
            for _ in 0..<60 {
                let response = try deployment.complete(Self.body("hello"))
                #expect(response.status == 200)
            }
            // A connection was kept for each but the first of them.
            #expect(deployment.engine.requests.count { $0.hasPrefix("POST") } > 100)
        }
    }

    /// A fresh connection that dies may have been the engine's work: it is not repeated.
    @Test(arguments: modes)
    func aFreshConnectionThatDiesIsAnError(mode: String) async throws {
        let deployment = try await Deployment(
            forward: mode,
            engine: { request in
                _ = try request.bodyText()
                request.closeAfterwards()
            })
        try await onThread {
            let response = try deployment.complete(Self.body("hello"))
            #expect(response.status == 502)
            #expect(response.body.contains(#""code":"engine_unreachable""#))
            #expect(deployment.engine.requests.count == 1)
        }
    }

    /// A firewall's cookies, for instance: the response, or a 502 that is ours and not nginx's word for a worker that is away.
    @Test(arguments: modes, [12_000, 20_480])
    func aLargeHead(mode: String, size: Int) async throws {
        let deployment = try await Deployment(
            forward: mode,
            engine: { request in
                let cookie = "Set-Cookie: a=" + String(repeating: "x", count: 1000)
                try request.respond(200, "{}", headers: Array(repeating: cookie, count: size / cookie.utf8.count))
            })
        try await onThread {
            let response = try deployment.complete()
            #expect(response.status == (size < 12_288 ? 200 : 502))
            if response.status == 502 { #expect(response.body.contains(#""code":"engine_unreachable""#)) }
            guard mode == "worker", response.status == 502 else { return }
            try deployment.waitUntil("the worker says why") {
                deployment.worker.standardError.contains("the response's head has")
            }
            #expect(!deployment.worker.standardError.contains("status=200"))
        }
    }

    /// The worker takes any head that nginx takes.
    @Test func theLargestHeadPasses() async throws {
        let deployment = try await Deployment(engine: { request in
            // 15 KiB, with the fields that the engine's head has besides.
            let rest = 15 * 1024 - "Content-Type: application/json\r\nSet-Cookie: \r\n".utf8.count
            try request.respond(200, "{}", headers: ["Set-Cookie: " + String(repeating: "x", count: rest)])
        })
        let response = try await onThread { try deployment.complete() }
        #expect(response.status == 200)
    }

    /// A name that only resolves to this machine is not local to Ollama. Its empty 403 is explained where people look.
    @Test(.enabled(if: Names.obstacle == nil))
    func aHostThatOllamaRefusesIsExplained() async throws {
        let names = try Names()
        let host = names.next()
        try names.resolve(host)
        let ollama = FakeOllama()
        let deployment = try await Deployment(
            namesEngine: host, workerCommand: names.command, engine: { try ollama.serve($0) })
        try await onThread {
            let response = try deployment.complete(Self.body("hello"))
            #expect(response.status == 403)
            #expect(response.body.isEmpty)
            let words = "Ollama refuses the Host \(host):\(deployment.engine.port); use localhost or an address"
            try deployment.waitUntil("the worker says why") {
                deployment.worker.standardError.contains("cause=\"\(words)")
            }
            let health = try deployment.fetch("GET", "/health")
            #expect(health.status == 503)
            #expect(health.body.contains(words))
        }
    }

    /// The list in its own shape, also where there is no model.
    @Test(arguments: [["m", "other"], []])
    func itsModelsAreListed(models: [String]) async throws {
        let deployment = try await Self.deployment("worker", FakeOllama(models: models))
        try await onThread {
            let health = try deployment.fetch("GET", "/health")
            #expect(health.status == 200)
            for model in models { #expect(health.body.contains(#""id":"\#(model)""#)) }
            #expect(health.body.contains(#""data":[]"#) == models.isEmpty)
            #expect(deployment.engine.requests == ["GET /v1/models HTTP/1.1"])
        }
    }
}
