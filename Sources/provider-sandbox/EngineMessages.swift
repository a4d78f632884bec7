import Foundation

/// The keys of a completion request, of either kind, that count here. Other keys are ignored, as Ollama does.
struct CompletionRequest: Decodable {
    struct Message: Decodable {}

    struct StreamOptions: Decodable {
        let includeUsage: Bool?
    }

    let model: String?
    let messages: [Message]?
    let stream: Bool?
    let streamOptions: StreamOptions?
    let maxTokens: Int?
    let maxCompletionTokens: Int?
    let user: String?
}

/// OpenAI's shape of an error, as Ollama fills it.
struct EngineError: Encodable {
    struct Detail: Encodable {
        let message: String
        let type: String

        enum CodingKeys: CodingKey { case message, type, param, code }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(message, forKey: .message)
            try container.encode(type, forKey: .type)
            try container.encodeNil(forKey: .param)
            try container.encodeNil(forKey: .code)
        }
    }

    let error: Detail
}

/// One entry of `/v1/models`.
struct OpenAIModel: Encodable {
    let id: String
    let object = "model"
    let created = EngineModelFacts.created
    let ownedBy = "library"
}

struct OpenAIModelList: Encodable {
    let object = "list"
    let data: [OpenAIModel]
}

/// One entry of `/api/tags`.
struct OllamaModel: Encodable {
    struct Details: Encodable {
        let format = "gguf"
        let family = "llama"
        let families = ["llama"]
        let parameterSize = "1B"
        let quantizationLevel = "Q8_0"
    }

    let name: String
    let model: String
    let modifiedAt = EngineModelFacts.modified
    let size = 1_321_098_329
    let digest = String(repeating: "0", count: 64)
    let details = Details()
}

struct OllamaModelList: Encodable {
    let models: [OllamaModel]
}

/// The same moment in both forms. Ollama writes nine digits of a second.
enum EngineModelFacts {
    static let created = 1_737_486_178
    static let modified = "2025-01-21T19:02:58.123456789Z"
}

struct Usage: Encodable {
    let promptTokens: Int
    let completionTokens: Int
    let totalTokens: Int
}

/// A buffered response, or one event of a streamed response, of either kind.
struct CompletionMessage: Encodable {
    struct Content: Encodable {
        let role = "assistant"
        let content: String
    }

    struct Choice: Encodable {
        var index = 0
        /// The text of a buffered chat response.
        var message: Content?
        /// A part of the text of a streamed chat response.
        var delta: Content?
        /// The text of a text completion, or a part of it.
        var text: String?
        var finishReason: String?

        enum CodingKeys: CodingKey { case index, message, delta, text, finishReason }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(index, forKey: .index)
            try container.encodeIfPresent(message, forKey: .message)
            try container.encodeIfPresent(delta, forKey: .delta)
            try container.encodeIfPresent(text, forKey: .text)
            // null in every event but the last.
            try container.encode(finishReason, forKey: .finishReason)
        }
    }

    let id: String
    let object: String
    let created: Int
    let model: String
    let systemFingerprint = "fp_sandbox"
    let choices: [Choice]
    var usage: Usage?
}
