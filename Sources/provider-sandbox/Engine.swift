import FlyingFox
import Foundation

/// Ollama's API as far as the provider client and a curious person use it.
///
/// As with the real one there is no `/api/models`, and a client that has left is noticed when the next token is written.
struct Engine: Sendable {
    private let models: [String]
    private let tokens: Int
    private let tokenDelay: Duration

    /// - Parameters:
    ///   - tokens: in an answer that the request does not limit further.
    ///   - tokenDelay: before each token, streamed or not.
    init(models: [String], tokens: Int, tokenDelay: Duration) {
        self.models = models
        self.tokens = tokens
        self.tokenDelay = tokenDelay
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        switch (request.method, request.path) {
        case (.GET, "/"), (.HEAD, "/"): .text(200, "Ollama is running")
        case (.GET, "/api/version"): .json(200, ["version": "0.0.0-sandbox"])
        case (.GET, "/api/tags"): .json(200, OllamaModelList(models: models.map { OllamaModel(name: $0, model: $0) }))
        case (.GET, "/v1/models"): .json(200, OpenAIModelList(data: models.map(OpenAIModel.init)))
        case (.GET, let path) where path.hasPrefix("/v1/models/"): model(String(path.dropFirst("/v1/models/".count)))
        case (.POST, "/v1/chat/completions"): await complete(.chat, request)
        case (.POST, "/v1/completions"): await complete(.text, request)
        default: .text(404, "404 page not found")
        }
    }

    private func model(_ name: String) -> HTTPResponse {
        models.contains(name) ? .json(200, OpenAIModel(id: name)) : notFound(name)
    }

    private func complete(_ kind: Completion.Kind, _ request: HTTPRequest) async -> HTTPResponse {
        let body: Data
        let wanted: CompletionRequest
        do {
            body = try await request.bodyData
            wanted = try JSONDecoder.snakeCase.decode(CompletionRequest.self, from: body)
        } catch {
            return failure(400, "invalid_request_error", "the request body is no valid JSON of a completion request")
        }
        guard let model = wanted.model, !model.isEmpty else {
            return failure(400, "invalid_request_error", "model is required")
        }
        if kind == .chat, wanted.messages?.isEmpty ?? true {
            return failure(400, "invalid_request_error", "[] is too short - 'messages'")
        }
        guard models.contains(model) else { return notFound(model) }
        let completion = Completion(kind, model: model, request: wanted, bodySize: body.count, tokens: tokens)
        guard wanted.stream ?? false else {
            // Cancelled when the server stops, and then nobody cares for the answer.
            try? await Task.sleep(for: tokenDelay * completion.completionTokens)
            return .json(200, completion.whole)
        }
        return HTTPResponse(
            statusCode: .ok, headers: [.contentType: "text/event-stream", .init("Cache-Control"): "no-cache"],
            body: HTTPBodySequence(from: CompletionStream(completion: completion, tokenDelay: tokenDelay)))
    }

    private func notFound(_ model: String) -> HTTPResponse {
        failure(404, "not_found_error", "model '\(model)' not found")
    }

    private func failure(_ status: Int, _ type: String, _ message: String) -> HTTPResponse {
        .json(status, EngineError(error: .init(message: message, type: type)))
    }
}
