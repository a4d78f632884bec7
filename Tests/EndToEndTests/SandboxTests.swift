import Foundation
import TestSupport
import Testing

/// The sandbox as `make run` uses it.
struct SandboxTests {
    /// A running sandbox.
    private struct Sandbox {
        let process: ChildProcess
        let engine: String
        let central: String

        init(_ arguments: [String] = [], key: String = "the-key") async throws {
            var environment = ProcessInfo.processInfo.environment
            environment["PROVIDER_API_KEY"] = key
            let process = try ChildProcess(
                try BuiltProduct.path("provider-sandbox"), ["--token-delay", "0"] + arguments, environment: environment)
            try await eventually("the sandbox is ready") {
                try #require(process.ended == nil, "\(process.standardError)")
                return process.standardOutput.hasSuffix("\n")
            }
            let fields = process.standardOutput.split(whereSeparator: \.isWhitespace)
            func url(_ name: String) -> String {
                fields.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) } ?? ""
            }
            self.process = process
            engine = url("engine")
            central = url("central")
        }
    }

    private static func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    // MARK: The engine

    @Test func theEngineListsItsModelsAsOllamaDoes() async throws {
        let sandbox = try await Sandbox(["--model", "a:1", "--model", "b:2"])
        let tags = try Self.object(try await curl(sandbox.engine + "/api/tags").body)
        #expect((tags["models"] as? [[String: Any]])?.map { $0["name"] as? String } == ["a:1", "b:2"])
        let list = try Self.object(try await curl(sandbox.engine + "/v1/models").body)
        #expect(list["object"] as? String == "list")
        #expect((list["data"] as? [[String: Any]])?.map { $0["id"] as? String } == ["a:1", "b:2"])
        #expect(try await curl(sandbox.engine + "/v1/models/b:2").status == 200)
        #expect(try await curl(sandbox.engine + "/v1/models/c").status == 404)
        #expect(try await curl(sandbox.engine + "/api/models").status == 404)
        #expect(try await curl(sandbox.engine + "/api/version").status == 200)
    }

    @Test(arguments: [
        ("/v1/chat/completions", #""messages":[{"role":"user","content":"x"}]"#, "chat.completion.chunk"),
        ("/v1/completions", #""prompt":"x""#, "text_completion"),
    ])
    func aStreamIsTokensThenUsageThenDone(path: String, prompt: String, kind: String) async throws {
        let sandbox = try await Sandbox()
        let response = try await curl(
            sandbox.engine + path, "-d",
            #"{"model":"sandbox:latest","stream":true,"stream_options":{"include_usage":true},"max_tokens":3,\#(prompt)}"#
        )
        #expect(response.header("Content-Type") == "text/event-stream")
        let events = response.body.components(separatedBy: "\n\n").dropLast()
        #expect(events.allSatisfy { $0.hasPrefix("data: ") })
        #expect(events.last == "data: [DONE]")
        let chunks = try events.dropLast().map { try Self.object(String($0.dropFirst("data: ".count))) }
        #expect(chunks.allSatisfy { $0["object"] as? String == kind })
        #expect(Set(chunks.map { $0["id"] as? String }).count == 1)
        let choices = chunks.compactMap { ($0["choices"] as? [[String: Any]])?.first }
        let text = choices.map {
            ($0["delta"] as? [String: Any])?["content"] as? String ?? $0["text"] as? String ?? "?"
        }
        #expect(text == ["This", " is", " the", ""])
        #expect(choices.map { $0["finish_reason"] as? String } == [nil, nil, nil, "length"])
        #expect((chunks.last?["usage"] as? [String: Any])?["completion_tokens"] as? Int == 3)
    }

    @Test func aBufferedCompletionIsOneObject() async throws {
        let sandbox = try await Sandbox(["--tokens", "2"])
        let response = try await curl(
            sandbox.engine + "/v1/chat/completions", "-d", #"{"model":"sandbox:latest","messages":[{"role":"user"}]}"#)
        let completion = try Self.object(response.body)
        let choice = try #require((completion["choices"] as? [[String: Any]])?.first)
        #expect((choice["message"] as? [String: Any])?["content"] as? String == "This is")
        #expect(choice["finish_reason"] as? String == "stop")
        #expect(completion["usage"] != nil)
    }

    /// scripts/test-fleet learns from the log which machine served which request.
    @Test(arguments: [true, false])
    func theLogNamesEachCompletion(streams: Bool) async throws {
        let directory = try TemporaryDirectory()
        let sandbox = try await Sandbox(["--engine-log", directory.path + "/log"])
        let response = try await curl(
            sandbox.engine + "/v1/chat/completions", "-d",
            #"{"model":"sandbox:latest","stream":\#(streams),"user":"a-user","messages":[{"role":"user"}]}"#)
        let match = try #require(response.body.firstMatch(of: /"id":"(chatcmpl-[0-9]{10})"/))
        let log = try String(contentsOfFile: directory.path + "/log", encoding: .utf8)
        #expect(log == "begun \(match.1) a-user\nresponded \(match.1) a-user\n")
    }

    @Test func aLongPromptDelaysTheResponse() async throws {
        let sandbox = try await Sandbox(["--prompt-delay", "0.1"])
        let prompt = String(repeating: "x", count: 10_000)
        let start = ContinuousClock.now
        let response = try await curl(
            sandbox.engine + "/v1/completions", "-d", #"{"model":"sandbox:latest","prompt":"\#(prompt)"}"#)
        #expect(response.status == 200)
        #expect(.now - start >= .seconds(1))
    }

    @Test(arguments: [
        (#"{"model":"unknown","messages":[{}]}"#, 404), (#"{"model":"sandbox:la"#, 400), ("[]", 400), ("{}", 400),
        (#"{"model":"sandbox:latest","messages":[]}"#, 400), (#"{"model":7,"messages":[{}]}"#, 400),
    ])
    func errorsHaveTheShapeOfOpenAI(body: String, status: Int) async throws {
        let sandbox = try await Sandbox()
        let response = try await curl(sandbox.engine + "/v1/chat/completions", "-d", body)
        #expect(response.status == status)
        let error = try #require(try Self.object(response.body)["error"] as? [String: Any])
        #expect(Set(error.keys) == ["message", "type", "param", "code"])
    }

    // MARK: The central system

    private static let report = """
        {"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"library"}],
         "gpu":{"product_name":"1.5","utilization":7,"memory_total":24564,"is_busy":false,"gpus":[]},
         "ngrok":{"url":""},"cloudflare":{"url":"https://a.example"},"provider_type":"ollama"}
        """

    @Test func aReportIsTakenAndCanBeReadBack() async throws {
        let sandbox = try await Sandbox()
        #expect(try await curl(sandbox.central + "/sandbox/report").status == 404)
        let response = try await curl(
            sandbox.central + "/api/provider/health", "-H", "Authorization: Bearer the-key", "--data-binary",
            Self.report)
        #expect(response.status == 200)
        #expect(response.body == "")
        #expect(try await curl(sandbox.central + "/sandbox/report").body == Self.report)
    }

    @Test(arguments: [
        (":7,", ":7.0,"), (":7,", ":7e1,"), (":7,", ":\"7\","), ("\"created\":1", "\"created\":1.5"),
        ("\"list\"", "\"lst\""), ("\"is_busy\":false", "\"is_busy\":0"), ("}}", "}"), ("\"data\":[", "\"date\":["),
        ("\"url\":\"\"", "\"url\":1"), ("\"https://a.example\"", "1"),
    ])
    func aReportWithAWrongTypeIsRefused(right: String, wrong: String) async throws {
        let sandbox = try await Sandbox()
        let broken = Self.report.replacingOccurrences(of: right, with: wrong)
        let response = try await curl(
            sandbox.central + "/api/provider/health", "-H", "Authorization: Bearer the-key", "--data-binary",
            right == "}}" ? String(Self.report.dropLast()) : broken)
        #expect(response.status == 400)
        #expect(try await curl(sandbox.central + "/sandbox/report").status == 404)
    }

    @Test(arguments: [
        ("Bearer the-key", "sandbox-1", 200, true), ("Bearer the-key", "other", 401, false),
        ("Bearer wrong", "sandbox-1", 401, nil), ("the-key", "sandbox-1", 401, nil),
    ])
    func hmacsAreJudged(authorization: String, hmac: String, status: Int, valid: Bool?) async throws {
        let sandbox = try await Sandbox()
        let response = try await curl(
            sandbox.central + "/api/provider/validate_hmac", "-H", "Authorization: " + authorization, "-d",
            #"{"hmac":"\#(hmac)"}"#)
        #expect(response.status == status)
        #expect(try Self.object(response.body)["valid"] as? Bool == valid)
    }

    // MARK: The process

    @Test func itServesOnlyTheChosenParts() async throws {
        let sandbox = try await Sandbox(["--serve", "central"])
        #expect(sandbox.engine == "")
        #expect(sandbox.central != "")
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func aSignalEndsIt(signal: CInt) async throws {
        let sandbox = try await Sandbox()
        sandbox.process.send(signal: signal)
        #expect(try await sandbox.process.waitForExit() == .status(0))
    }

    @Test func aPortInUseIsSaid() async throws {
        let taken = try ListeningSocket()
        let process = try ChildProcess(
            try BuiltProduct.path("provider-sandbox"), ["--serve", "engine", "--engine-port", String(taken.port)])
        #expect(try await process.waitForExit() != .status(0))
        #expect(process.standardError.contains("engine: cannot serve"))
        withExtendedLifetime(taken) {}
    }
}
