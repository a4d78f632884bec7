import FoundationEssentials

/// Asks the engine for one token, as a stream: most clients do, and a stream shows a cut that a whole response does not.
struct EngineProbe: Sendable {
    /// For everything; a large model takes longer to load, which is no failure.
    static let limit = Duration.seconds(18)
    /// What an engine says of a model that generates no text. Ollama says 400, "does not support chat".
    private static let refusals: Set = [400, 404, 422, 501]

    enum Outcome: Sendable, Equatable {
        case notAsked
        case completion(model: String, time: Duration)
        /// A response that the worker would not pass on as a whole completion, and why.
        case noCompletion(String)
        case failed(HTTPError)
    }

    let url: String
    let http: HTTPClient

    /// - Parameter models: the engine's list.
    func ask(_ models: [String]) -> Outcome {
        let deadline = ContinuousClock.now + Self.limit
        let loaded = loaded
        // Another model may push the model that clients use out of the GPU's memory.
        let order = models.filter(loaded.contains) + models.filter { !loaded.contains($0) }
        var refused = (count: 0, status: 0)
        for model in order {
            let started = ContinuousClock.now
            guard started < deadline else { break }
            do throws(HTTPError) {
                let response = try complete(model, within: deadline - started)
                let status = response.head.status
                if Self.refusals.contains(status) {
                    refused = (refused.count + 1, status)
                    continue
                }
                return Self.trouble(of: response).map { .noCompletion("\(model): \($0)") }
                    ?? .completion(model: model, time: .now - started)
            } catch {
                return .failed(error)
            }
        }
        guard refused.count > 0 else { return .notAsked }
        return .noCompletion(
            "\(refused.count) of \(order.count) models were asked, and none generates text (status \(refused.status))")
    }

    /// The models in the GPU's memory, as Ollama's `GET /api/ps` names them; none of an engine without that path.
    private var loaded: Set<String> {
        struct Running: Decodable {
            struct Model: Decodable { let name: String }
            let models: [Model]
        }
        guard case .success(let response) = SiteReply.fetch(url + "/api/ps", http, .seconds(2)),
            let running = try? JSONDecoder().decode(Running.self, from: Data(response.body))
        else { return [] }
        return Set(running.models.map(\.name))
    }

    private func complete(_ model: String, within limit: Duration) throws(HTTPError) -> HTTPResponse {
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
        let headers = [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        let request = HTTPRequest(
            .post, url + "/v1/chat/completions", headers: headers, body: .bytes(JSON.encode(Question(model: model))),
            timeouts: HTTPTimeouts(connect: .seconds(3), total: limit))
        return try http.fetch(request, maxBodyBytes: 1024 * 1024)
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
        // The end of HTTP's body is not enough here: a proper engine ends its stream with [DONE] or a finish_reason.
        guard stream.isCut(isDelimited: false) else { return nil }
        return "the engine's stream ended without [DONE] and without a finish_reason"
    }
}
