import Foundation
import Synchronization

/// An engine that behaves as Ollama 0.32 on a loopback address does.
///
/// Seen on a real Ollama 0.32.15 and read in its source (server/routes.go, middleware/openai.go, server/sched.go). The words
/// of a prompt say what a completion comes to; see `Prompt`.
public final class FakeOllama: Sendable {
    /// What a prompt brings about; any other prompt gets three tokens.
    public enum Prompt {
        /// The runner dies before the first token.
        public static let dieAtOnce = "die at once"
        /// The runner dies after the first token.
        public static let die = "die"
        /// The model repeats one token, and Ollama gives up.
        public static let repeatYourself = "repeat"
        /// The completion goes on until its client leaves.
        public static let goOn = "go on"
    }

    private let models: [String]
    private let maxQueue: Int
    private let state = Mutex(State())
    /// Opened each time a client that was waited for or generated for has left.
    public let stopped = Gate()

    private struct State {
        /// The running completion, and behind it the waiting completions.
        var line: [Int] = []
        var last = 0
    }

    /// - Parameters:
    ///   - models: the names it lists.
    ///   - maxQueue: `OLLAMA_MAX_QUEUE`.
    public init(models: [String] = ["m"], maxQueue: Int = 512) {
        self.models = models
        self.maxQueue = maxQueue
    }

    /// Completions that wait for the running completion.
    public var queued: Int { state.withLock { max(0, $0.line.count - 1) } }

    public func serve(_ request: ScriptedRequest) throws {
        guard Self.isLocal(request.head["Host"] ?? "") else {
            _ = try request.body.all()
            return try request.connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        }
        switch (request.method, request.target) {
        case ("GET", "/v1/models"):
            let entries = models.map {
                ["id": $0, "object": "model", "created": 1_737_486_178, "owned_by": "library"] as [String: Any]
            }
            try respond(request, 200, ["object": "list", "data": entries.isEmpty ? NSNull() : entries as Any])
        case ("GET", "/api/tags"):
            let entries = models.map { ["name": $0, "model": $0, "modified_at": "2025-01-21T19:02:58.123456789Z"] }
            try respond(request, 200, ["models": entries])
        case ("POST", "/v1/chat/completions"): try complete(request, isChat: true)
        case ("POST", "/v1/completions"): try complete(request, isChat: false)
        default: try request.respond(404, "404 page not found", type: "text/plain")
        }
    }

    /// `allowedHostsMiddleware` and `allowedHost`: an address, localhost, this machine's name, or a local domain.
    private static func isLocal(_ header: String) -> Bool {
        let host =
            header.hasPrefix("[")
            ? String(header.dropFirst().prefix { $0 != "]" }) : String(header.prefix { $0 != ":" })
        var (four, six) = (in_addr(), in6_addr())
        if inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1 { return true }
        return host.isEmpty || host == "localhost" || host == ProcessInfo.processInfo.hostName
            || [".localhost", ".local", ".internal"].contains { host.hasSuffix($0) }
    }

    // MARK: A completion

    private struct Asked: Decodable {
        struct Message: Decodable { let content: String }
        struct Options: Decodable { let includeUsage: Bool? }

        let model: String
        let messages: [Message]?
        let prompt: String?
        let stream: Bool?
        let streamOptions: Options?

        var words: String { messages?.last?.content ?? prompt ?? "" }
    }

    private func complete(_ request: ScriptedRequest, isChat: Bool) throws {
        let body = try request.body.all()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        var asked = try? decoder.decode(Asked.self, from: Data(body))
        switch request.head["Content-Encoding"] {
        case nil: break
        // Nothing here unpacks it: any compressed body asks for the first model.
        case "zstd": asked = Asked(model: models[0], messages: nil, prompt: nil, stream: nil, streamOptions: nil)
        // Taken for JSON, which it is not.
        default: asked = nil
        }
        guard let asked else {
            return try refuse(
                request, 400, "invalid_request_error", "invalid character '\\x1f' looking for beginning of value")
        }
        guard models.contains(asked.model) else {
            return try refuse(request, 404, "not_found_error", "model '\(asked.model)' not found")
        }
        guard try takeTurn(request) else { return }
        defer { endTurn() }
        if asked.words == Prompt.dieAtOnce {
            return try refuse(request, 500, "api_error", "llama runner process no longer running: -1")
        }
        let completion = FakeOllamaCompletion(
            model: asked.model, isChat: isChat, hasUsage: asked.streamOptions?.includeUsage ?? false)
        guard asked.stream ?? false else {
            if asked.words == Prompt.goOn { return try waitForHangUp(request) }
            return try respond(request, 200, completion.whole)
        }
        try request.startStream()
        switch asked.words {
        case Prompt.die:
            try request.event(completion.event("token 0"))
            try request.event(completion.event("", model: ""))
        case Prompt.repeatYourself:
            for _ in 0...30 { try request.event(completion.event("again")) }
        case Prompt.goOn:
            try request.event(completion.event("token 0"))
            return try waitForHangUp(request)
        default:
            for token in 0..<3 { try request.event(completion.event("token \(token)")) }
            try request.event(completion.event("", finishReason: "stop"))
            if completion.hasUsage { try request.event(completion.usage) }
            try request.event("[DONE]")
        }
        try request.endStream()
    }

    private func waitForHangUp(_ request: ScriptedRequest) throws {
        try request.connection.waitForHangUp()
        request.closeAfterwards()
        stopped.open()
    }

    /// One request of a model runs at a time (`OLLAMA_NUM_PARALLEL` 1); the others wait without a byte.
    ///
    /// - Returns: false for a request that has its response, or has lost its client.
    private func takeTurn(_ request: ScriptedRequest) throws -> Bool {
        guard let number = enter() else {
            // No Retry-After.
            try refuse(request, 503, "api_error", "server busy, please try again.  maximum pending requests exceeded")
            return false
        }
        // A client that leaves the queue is noticed at once.
        while !state.withLock({ $0.line.first == number }) {
            guard try request.connection.hasHungUp(within: .milliseconds(10)) else { continue }
            state.withLock { $0.line.removeAll { $0 == number } }
            request.closeAfterwards()
            stopped.open()
            return false
        }
        return true
    }

    /// - Returns: its number in the line; nil when the queue is full.
    private func enter() -> Int? {
        state.withLock { state in
            guard state.line.count <= maxQueue else { return nil }
            state.last += 1
            state.line.append(state.last)
            return state.last
        }
    }

    private func endTurn() {
        state.withLock { _ = $0.line.removeFirst() }
    }

    private func refuse(_ request: ScriptedRequest, _ status: Int, _ type: String, _ message: String) throws {
        let error = ["message": message, "type": type, "param": NSNull(), "code": NSNull()] as [String: Any]
        try respond(request, status, ["error": error])
    }

    private func respond(_ request: ScriptedRequest, _ status: Int, _ object: [String: Any]) throws {
        try request.respond(status, jsonText(object))
    }
}

/// The messages of one completion, in the shape of either endpoint.
private struct FakeOllamaCompletion {
    let model: String
    let isChat: Bool
    let hasUsage: Bool

    private static let tokens = ["prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8]
    private static let noTokens = ["prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0]

    var whole: [String: Any] {
        let text = "token 0token 1token 2"
        var choice: [String: Any] = ["index": 0, "finish_reason": "stop"]
        choice[isChat ? "message" : "text"] = isChat ? ["role": "assistant", "content": text] : text as Any
        return message(model, [choice], Self.tokens)
    }

    func event(_ text: String, finishReason: String? = nil, model: String? = nil) -> String {
        var choice: [String: Any] = ["index": 0, "finish_reason": finishReason ?? NSNull() as Any]
        choice[isChat ? "delta" : "text"] = isChat ? ["role": "assistant", "content": text] : text as Any
        // On /v1/completions each event has a usage, of zeros.
        return jsonText(message(model ?? self.model, [choice], hasUsage && !isChat ? Self.noTokens : nil))
    }

    var usage: String { jsonText(message(model, [], Self.tokens)) }

    private func message(_ model: String, _ choices: [[String: Any]], _ usage: [String: Int]?) -> [String: Any] {
        var message: [String: Any] = [
            "id": isChat ? "chatcmpl-1" : "cmpl-1", "created": 1_737_486_178, "model": model,
            "object": isChat ? "chat.completion.chunk" : "text_completion", "system_fingerprint": "fp_ollama",
            "choices": choices,
        ]
        message["usage"] = usage
        return message
    }
}

private func jsonText(_ object: [String: Any]) -> String {
    // Strings, integers and null alone, which always encode.
    let data = (try? JSONSerialization.data(withJSONObject: object, options: .sortedKeys)) ?? Data()
    return String(decoding: data, as: UTF8.self)
}
