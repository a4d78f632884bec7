import FoundationEssentials

/// Whether the engine can be reached, lists models and, when asked, generates.
struct EngineCheck: Sendable {
    private static let listLimit = Duration.seconds(5)
    /// A large model takes longer to load: no failure.
    private static let probeLimit = Duration.seconds(18)
    private static let log = "journalctl -u ollama -n 50"

    /// What came of a completion of one token.
    enum Probe: Sendable, Equatable {
        case notAsked
        case completion(time: Duration)
        /// A response that the worker would not pass on as a whole completion, and why.
        case noCompletion(String)
        case failed(HTTPError)
    }

    /// The list as far as the judgement needs it.
    struct List: Sendable, Equatable {
        var path: String
        var models: [String]
    }

    var url: String
    var list: Result<List, NoModelList>
    /// How long the list took.
    var time: Duration
    var probe = Probe.notAsked

    static func look(_ engine: Configuration.Ollama, _ http: HTTPClient, probes: Bool) -> Self {
        let started = ContinuousClock.now
        let list: Result<List, NoModelList>
        do throws(NoModelList) {
            let found = try EngineModels(http: http, engine: engine).find(within: listLimit)
            list = .success(List(path: found.path, models: found.models.map(\.id)))
        } catch {
            list = .failure(error)
        }
        var look = Self(url: engine.url, list: list, time: .now - started)
        if probes, case .success(let list) = list, let model = list.models.first {
            look.probe = ask(engine.url, model, http)
        }
        return look
    }

    /// Asks for a stream: most clients do, and a stream shows a cut that a whole response does not.
    private static func ask(_ url: String, _ model: String, _ http: HTTPClient) -> Probe {
        struct Question: Encodable {
            struct Message: Encodable {
                let role = "user"
                let content = "Hi"
            }
            let model: String
            let messages = [Message()]
            let maxTokens = 1
            let stream = true
            enum CodingKeys: String, CodingKey {
                case model, messages, stream
                case maxTokens = "max_tokens"
            }
        }
        let started = ContinuousClock.now
        let headers = [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        let request = HTTPRequest(
            .post, url + "/v1/chat/completions", headers: headers, body: .bytes(JSON.encode(Question(model: model))),
            timeouts: HTTPTimeouts(connect: .seconds(3), total: probeLimit))
        do throws(HTTPError) {
            let response = try http.fetch(request, maxBodyBytes: 1024 * 1024)
            return trouble(of: response).map(Probe.noCompletion) ?? .completion(time: .now - started)
        } catch {
            return .failed(error)
        }
    }

    /// What is wrong with the response to a completion; nil when nothing is.
    static func trouble(of response: HTTPResponse) -> String? {
        struct Completion: Decodable {
            struct Choice: Decodable {}
            let choices: [Choice]
        }
        let head = response.head
        guard head.status == 200 else { return "the engine responds with \(head.status)" }
        if let reason = ResponseRelay.reasonAgainst(EndToEndHeaders.filtered(head)) { return reason }
        guard EndToEndHeaders.isEventStream(head) else {
            let completion = try? JSONDecoder().decode(Completion.self, from: Data(response.body))
            return completion == nil ? "the engine responds with 200 and no completion" : nil
        }
        var stream = CompletionStream()
        unsafe stream.add(response.body.span.bytes)
        if stream.hasReportedError { return "the engine's stream reports an error" }
        // Whole only by its own word, whatever HTTP says: a proper engine ends its stream with one or the other.
        guard stream.isCut(isDelimited: false) else { return nil }
        return "the engine's stream ended without [DONE] and without a finish_reason"
    }

    // MARK: The judgement

    var findings: [Finding] { [reachable, models, completion] }

    private var reachable: Finding {
        guard case .failure(let failure) = list, [.unreachable, .silent].contains(failure.kind) else {
            return .ok(.engineReachable, "\(url) responds")
        }
        return .fail(
            .engineReachable, failure.description,
            fix: failure.kind == .silent
                ? "systemctl restart ollama" : "systemctl start ollama, or correct ollama.url")
    }

    private var models: Finding {
        switch list {
        case .success(let list):
            let place = "\(list.path) lists \(list.models.count) model\(list.models.count == 1 ? "" : "s") in \(time.inSeconds.formatted(2)) s"
            guard list.models.isEmpty else { return .ok(.engineModels, place) }
            return .warn(.engineModels, place, fix: "ollama pull MODEL")
        case .failure(let failure):
            if reachable.isFailure { return .skip(.engineModels, because: .engineReachable) }
            return .fail(
                .engineModels, failure.description,
                fix: failure.kind == .hostRefused
                    ? "write 127.0.0.1 or localhost in ollama.url, or set OLLAMA_ORIGINS for the engine"
                    : "correct ollama.url: curl \(url)/v1/models has to list the models")
        }
    }

    private var completion: Finding {
        if reachable.isFailure { return .skip(.engineCompletion, because: .engineReachable) }
        if models.isFailure { return .skip(.engineCompletion, because: .engineModels) }
        switch probe {
        case .notAsked where models.status == .warn: return .skip(.engineCompletion, "no model to ask")
        case .notAsked: return .skip(.engineCompletion, "not asked without --probe")
        case .completion(let time):
            return .ok(.engineCompletion, "one token in \(time.inSeconds.formatted(1)) s")
        case .noCompletion(let words): return .fail(.engineCompletion, words, fix: Self.log)
        case .failed(.timedOut):
            return .warn(
                .engineCompletion, "no whole completion within \(Self.probeLimit.inSeconds.formatted(0)) s",
                fix: "try again: the engine may still be loading the model")
        case .failed(let error):
            return .fail(.engineCompletion, "\(error)", fix: Self.log)
        }
    }
}
