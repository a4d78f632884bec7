import FlyingSocks
import Foundation

/// The engine's response to one request, token by token.
struct Completion: Sendable {
    enum Kind: Sendable {
        case chat, text
    }

    static let words = """
        This is the sandbox speaking, not a model. Every prompt gets these words, one token at a time, so that you can \
        see them travel from the engine through the worker and nginx to you.
        """.split(separator: " ").map(String.init)

    let kind: Kind
    let model: String
    let promptTokens: Int
    let completionTokens: Int
    let finishReason: String
    let includesUsage: Bool
    /// The response's identifier, in every event of a stream and in the engine's log.
    let id: String
    private let created = Int(Date().timeIntervalSince1970)

    init(_ kind: Kind, model: String, request: CompletionRequest, bodySize: Int, tokens: Int) {
        self.kind = kind
        self.model = model
        let digits = (0..<10).map { _ in String(Int.random(in: 0...9)) }.joined()
        id = (kind == .chat ? "chatcmpl-" : "cmpl-") + digits
        // A rule of thumb.
        promptTokens = max(1, bodySize / 4)
        let limit = request.maxCompletionTokens ?? request.maxTokens ?? tokens
        completionTokens = max(1, min(limit, tokens))
        finishReason = limit < tokens ? "length" : "stop"
        includesUsage = request.streamOptions?.includeUsage ?? false
    }

    private func token(_ index: Int) -> String {
        (index == 0 ? "" : " ") + Self.words[index % Self.words.count]
    }

    private var usage: Usage {
        Usage(
            promptTokens: promptTokens, completionTokens: completionTokens,
            totalTokens: promptTokens + completionTokens)
    }

    /// The response in one piece.
    var whole: CompletionMessage {
        let text = (0..<completionTokens).map(token).joined()
        let choice: CompletionMessage.Choice =
            switch kind {
            case .chat: .init(message: .init(content: text), finishReason: finishReason)
            case .text: .init(text: text, finishReason: finishReason)
            }
        return message(kind == .chat ? "chat.completion" : "text_completion", [choice], usage: usage)
    }

    /// The event with a number, from 0; nil after the last. After the tokens come the reason for the end, the usage if
    /// the request asks for it, and `[DONE]`.
    func event(_ index: Int) -> Data? {
        switch index - completionTokens {
        case ..<0: event(part(token(index), nil))
        case 0: event(part("", finishReason))
        case 1 where includesUsage: event([], usage: usage)
        case includesUsage ? 2 : 1: Data("data: [DONE]\n\n".utf8)
        default: nil
        }
    }

    private func part(_ text: String, _ finishReason: String?) -> [CompletionMessage.Choice] {
        switch kind {
        case .chat: [.init(delta: .init(content: text), finishReason: finishReason)]
        case .text: [.init(text: text, finishReason: finishReason)]
        }
    }

    private func event(_ choices: [CompletionMessage.Choice], usage: Usage? = nil) -> Data {
        let object = kind == .chat ? "chat.completion.chunk" : "text_completion"
        let json = (try? JSONEncoder.snakeCase.encode(message(object, choices, usage: usage))) ?? Data()
        return Data("data: ".utf8) + json + Data("\n\n".utf8)
    }

    private func message(
        _ object: String, _ choices: [CompletionMessage.Choice], usage: Usage?
    ) -> CompletionMessage {
        CompletionMessage(
            id: id, object: object, created: created, model: model, choices: choices, usage: usage)
    }
}

/// A completion as server-sent events, with a delay before each token.
struct CompletionStream: AsyncBufferedSequence {
    typealias Element = UInt8

    let completion: Completion
    let tokenDelay: Duration

    func makeAsyncIterator() -> Iterator { Iterator(completion: completion, tokenDelay: tokenDelay) }

    struct Iterator: AsyncBufferedIteratorProtocol {
        let completion: Completion
        let tokenDelay: Duration
        var index = 0

        mutating func next() async throws -> UInt8? {
            // FlyingFox reads whole buffers only.
            preconditionFailure("FlyingFox calls nextBuffer(suggested:)")
        }

        mutating func nextBuffer(suggested count: Int) async throws -> Data? {
            if index < completion.completionTokens { try await Task.sleep(for: tokenDelay) }
            defer { index += 1 }
            return completion.event(index)
        }
    }
}
