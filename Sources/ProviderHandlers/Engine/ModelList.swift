import FoundationEssentials

/// One model the engine serves, in OpenAI's shape.
public struct Model: Sendable, Equatable, Encodable {
    public let id: String
    public let object = "model"
    /// Unix time in seconds; 0 when the engine does not tell.
    public let created: Int
    public let ownedBy: String

    enum CodingKeys: String, CodingKey {
        case id, object, created
        case ownedBy = "owned_by"
    }
}

/// The engine's list of models, read from a response body.
///
/// The central system deletes each model that a report leaves out. So a body counts as an empty list only when it says
/// clearly that there is no model.
struct ModelList: Equatable {
    /// The kind of engine that sent the list.
    enum Shape: CaseIterable {
        /// `{"object":"list","data":[{"id",…}]}`; Ollama says `"data":null` when it has no model.
        case openAI
        /// `{"models":[{"name","modified_at",…}]}`.
        case ollama
    }

    enum Problem: Error, Equatable {
        /// Not JSON, an error, or another shape.
        case noList
        /// An array with entries, none of which is a model.
        case noModelInIt
    }

    let models: [Model]

    /// Entries that are no models are left out.
    init(_ body: [UInt8], _ shape: Shape) throws(Problem) {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(body)), !document.isError else {
            throw .noList
        }
        let found: [Model?]
        switch shape {
        case .openAI:
            guard let entries = document.data else { throw .noList }
            found = entries.map { $0.openAI?.model }
            guard !found.isEmpty || document.mayBeEmpty else { throw .noList }
        case .ollama:
            guard let entries = document.models else { throw .noList }
            found = entries.map { $0.ollama?.model }
        }
        models = found.compactMap(\.self)
        if models.isEmpty && !found.isEmpty { throw .noModelInIt }
    }
}

/// A response body as far as either list needs it.
private struct Document: Decodable {
    /// nil where the key is missing or has another type; null is an empty list.
    let data: [Entry]?
    let models: [Entry]?
    /// Whether it says that something went wrong, as some engines and gateways do in a 200.
    let isError: Bool
    /// Whether an empty OpenAI list may be meant: `object`, where it is given, has to be `list`.
    let mayBeEmpty: Bool

    private enum CodingKeys: CodingKey { case data, models, error, success, object }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func entries(_ key: CodingKeys) -> [Entry]? {
            guard container.contains(key) else { return nil }
            if (try? container.decodeNil(forKey: key)) == true { return [] }
            return try? container.decode([Entry].self, forKey: key)
        }
        data = entries(.data)
        models = entries(.models)
        isError = Self.hasError(container) || (try? container.decode(Bool.self, forKey: .success)) == false
        mayBeEmpty = !container.contains(.object) || (try? container.decode(String.self, forKey: .object)) == "list"
    }

    /// null, false and an empty text mean that there is no error.
    private static func hasError(_ container: KeyedDecodingContainer<CodingKeys>) -> Bool {
        guard container.contains(.error), (try? container.decodeNil(forKey: .error)) == false else { return false }
        if let flag = try? container.decode(Bool.self, forKey: .error) { return flag }
        return (try? container.decode(String.self, forKey: .error)) != ""
    }
}

/// One entry of a list, in each shape that it may have.
private struct Entry: Decodable {
    let openAI: OpenAIModel?
    let ollama: OllamaModel?

    init(from decoder: any Decoder) throws {
        openAI = try? OpenAIModel(from: decoder)
        ollama = try? OllamaModel(from: decoder)
    }
}

private struct OpenAIModel: Decodable {
    let model: Model

    private enum CodingKeys: String, CodingKey {
        case id, created
        case ownedBy = "owned_by"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        // The central system takes integers only; some engines write a fraction or a text.
        let created = (try? container.decode(Double.self, forKey: .created)).flatMap {
            Int(exactly: $0.rounded(.down))
        }
        model = Model(
            id: try container.decode(String.self, forKey: .id), created: created ?? 0,
            ownedBy: (try? container.decode(String.self, forKey: .ownedBy)) ?? "library")
    }
}

private struct OllamaModel: Decodable {
    let model: Model

    private enum CodingKeys: String, CodingKey {
        case name, model
        case modifiedAt = "modified_at"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        // Ollama writes the same text in both.
        let name =
            try (try? container.decode(String.self, forKey: .name))
            ?? container.decode(
                String.self, forKey: .model)
        let modifiedAt = try? container.decode(String.self, forKey: .modifiedAt)
        model = Model(id: name, created: modifiedAt.flatMap(Self.unixTime) ?? 0, ownedBy: "library")
    }

    /// Go's RFC 3339 with up to nine digits of a second, which no ISO 8601 parser here takes: they are cut out.
    private static func unixTime(_ text: String) -> Int? {
        let seconds = text.prefix { $0 != "." }
        let zone = text.dropFirst(seconds.count).drop { $0 == "." || ("0"..."9").contains($0) }
        guard let date = try? Date(String(seconds + zone), strategy: .iso8601) else { return nil }
        return Int(date.timeIntervalSince1970)
    }
}
