import FlyingFox
import Foundation

/// The part of Ollama's API that the provider client uses.
///
/// As in Ollama there is no `/api/models`, and the engine notices that a client has left when it writes the next token.
struct Engine: Sendable {
    let models: [String]
    /// Tokens in a response that the request does not limit further.
    let tokens: Int
    /// Before each token, streamed or not.
    let tokenDelay: Duration
    /// Before the response begins, for each 1,000 bytes of the request.
    let promptDelay: Duration
    let log: EngineLog?

    func respond(to request: HTTPRequest) async -> HTTPResponse {
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
            return failure(400, "invalid_request_error", "the request body is not a valid completion request in JSON")
        }
        guard let model = wanted.model, !model.isEmpty else {
            return failure(400, "invalid_request_error", "model is required")
        }
        if kind == .chat, wanted.messages?.isEmpty ?? true {
            return failure(400, "invalid_request_error", "[] is too short - 'messages'")
        }
        guard models.contains(model) else { return notFound(model) }
        let completion = Completion(kind, model: model, request: wanted, bodySize: body.count, tokens: tokens)
        log?.write("begun", id: completion.id, user: wanted.user)
        // Both sleeps are cancelled only when the process ends.
        try? await Task.sleep(for: promptDelay * Double(body.count) / 1000)
        guard wanted.stream ?? false else {
            try? await Task.sleep(for: tokenDelay * completion.completionTokens)
            log?.write("responded", id: completion.id, user: wanted.user)
            return .json(200, completion.whole)
        }
        log?.write("responded", id: completion.id, user: wanted.user)
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
