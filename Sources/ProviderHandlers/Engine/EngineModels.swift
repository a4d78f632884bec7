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

/// Asks the engine which models it has.
///
/// The mission names `/api/models`, which Ollama has not (404); Ollama and others list theirs at `/v1/models`, and
/// older Ollama only at `/api/tags`. Whichever answers is asked first the next time.
public final class EngineModels: Sendable {
    private static let paths = ["/api/models", "/v1/models", "/api/tags"]
    private static let maxAnswerBytes = 4 * 1024 * 1024

    private let http: HTTPClient
    private let baseURL: String
    private let known = Locked<String?>(nil)

    public init(http: HTTPClient, engine: Configuration.Ollama) {
        self.http = http
        baseURL = engine.url
    }

    /// - Parameter limit: for all requests together.
    /// - Throws: `HTTPError`; `.broken` also for an answer that is no list of models.
    func list(within limit: Duration) throws(HTTPError) -> [Model] {
        let deadline = ContinuousClock.now + limit
        let first = known.withLock { $0 }
        let order = [first].compactMap { $0 } + Self.paths.filter { $0 != first }
        for path in order {
            let rest = deadline - ContinuousClock.now
            guard rest > .zero else { throw .timedOut("total") }
            let response = try http.fetch(
                HTTPRequest(
                    .get, baseURL + path, headers: [HTTPHeader("Accept", "application/json")],
                    timeouts: HTTPTimeouts(connect: rest, total: rest)),
                maxBodyBytes: Self.maxAnswerBytes)
            switch response.head.status {
            case 200:
                guard let list = try? JSONDecoder().decode(ModelList.self, from: Data(response.body)) else {
                    throw .broken("\(path) answered with something that is no list of models")
                }
                known.withLock { $0 = path }
                return list.models
            case 404:
                continue
            default:
                throw .broken("\(path) answered \(response.head.status)")
            }
        }
        throw .broken("none of \(Self.paths.joined(separator: ", ")) is there (404)")
    }
}

/// Either shape: OpenAI's `{"data":[{"id",…}]}` or Ollama's `{"models":[{"name","modified_at",…}]}`.
struct ModelList: Decodable {
    let models: [Model]

    private enum CodingKeys: CodingKey { case data, models }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        // Ollama's /v1/models says `"data": null` when it has no model.
        if container.contains(.data) {
            models = try container.decode([Entry<OpenAIModel>]?.self, forKey: .data)?.compactMap(\.value?.model) ?? []
        } else {
            models = try container.decode([Entry<OllamaModel>]?.self, forKey: .models)?.compactMap(\.value?.model) ?? []
        }
    }

    /// One of the list; nil for one that is no model, which must not cost the others.
    private struct Entry<Value: Decodable>: Decodable {
        let value: Value?

        init(from decoder: any Decoder) throws {
            value = try? Value(from: decoder)
        }
    }

    private struct OpenAIModel: Decodable {
        let model: Model

        enum CodingKeys: String, CodingKey {
            case id, created
            case ownedBy = "owned_by"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            // Central takes integers only; some engines write a fraction, or a text.
            let created = (try? container.decode(Double.self, forKey: .created)).flatMap {
                Int(exactly: $0.rounded(.down))
            }
            model = Model(
                id: try container.decode(String.self, forKey: .id), created: created ?? 0,
                ownedBy: (try? container.decode(String.self, forKey: .ownedBy)) ?? "library")
        }
    }

    private struct OllamaModel: Decodable {
        let name: String
        let modifiedAt: String?

        enum CodingKeys: String, CodingKey {
            case name
            case modifiedAt = "modified_at"
        }

        var model: Model { Model(id: name, created: modifiedAt.flatMap(Self.unixTime) ?? 0, ownedBy: "library") }

        /// Go's RFC 3339 with up to nine digits of a second, which no ISO 8601 parser here takes: they are cut out.
        private static func unixTime(_ text: String) -> Int? {
            let seconds = text.prefix { $0 != "." }
            let zone = text.dropFirst(seconds.count).drop { $0 == "." || ("0"..."9").contains($0) }
            guard let date = try? Date(String(seconds + zone), strategy: .iso8601) else { return nil }
            return Int(date.timeIntervalSince1970)
        }
    }
}
