/// Asks the engine which models it has.
///
/// Ollama and most engines list them at `/v1/models`, the mission names `/api/models`, and `/api/tags` is Ollama's own.
/// The order is always the same, so that a list of a later path never hides one of an earlier path.
public final class EngineModels: Sendable {
    private static let places: [(path: String, shape: ModelList.Shape)] = [
        ("/v1/models", .openAI), ("/api/models", .openAI), ("/api/tags", .ollama),
    ]
    private static let maxBodyBytes = 4 * 1024 * 1024
    /// A twentieth of the limit is kept for each path still to be asked, so that a path that hangs leaves some time.
    private static let reservedPart = 20

    private let http: HTTPClient
    private let baseURL: String

    public init(http: HTTPClient, engine: Configuration.Ollama) {
        self.http = http
        baseURL = engine.url
    }

    /// Asks one path after the other until one responds with a list in its own shape.
    ///
    /// Any other response leads on to the next path, and so does a connection that closes. A connection that cannot be
    /// made ends it at once.
    ///
    /// - Parameter limit: for all paths together.
    func list(within limit: Duration) throws(NoModelList) -> [Model] {
        try find(within: limit).models
    }

    /// `list` with the path that responded.
    func find(within limit: Duration) throws(NoModelList) -> (models: [Model], path: String) {
        let deadline = ContinuousClock.now + limit
        var findings: [Finding] = []
        for (index, place) in Self.places.enumerated() {
            let left = Self.places.count - 1 - index
            let share = deadline - ContinuousClock.now - limit / Self.reservedPart * left
            switch try ask(place, within: share) {
            // An empty list from here says nothing about the paths that have not responded.
            case .models(let models) where !models.isEmpty || !findings.contains { $0.kind == .silent }:
                return (models, place.path)
            case .models: findings.append(Finding(kind: .noList, words: "\(baseURL + place.path) lists no model"))
            case .nothing(let finding): findings.append(finding)
            }
        }
        throw failure(findings)
    }
}

extension EngineModels {
    /// Why one path has brought no list.
    private struct Finding {
        let kind: NoModelList.Kind
        /// Begins with the URL.
        let words: String
    }

    private enum Outcome {
        case models([Model])
        case nothing(Finding)
    }

    private func ask(
        _ place: (path: String, shape: ModelList.Shape), within limit: Duration
    ) throws(NoModelList) -> Outcome {
        let url = baseURL + place.path
        guard limit > .zero else {
            return .nothing(Finding(kind: .silent, words: "\(url) was not asked: no time was left"))
        }
        do throws(HTTPError) {
            return judge(try fetch(url, within: limit), place.shape, url)
        } catch {
            switch error {
            case .unreachable:
                throw NoModelList(
                    kind: .unreachable, description: "\(error) (\(baseURL) is down or cannot be reached)")
            case .timedOut("connect"):
                throw NoModelList(
                    kind: .silent,
                    description:
                        "has not responded yet: no connection to \(url) within \(limit.inSeconds.formatted(1)) s")
            case .timedOut:
                let words = "no response from \(url) within \(limit.inSeconds.formatted(1)) s"
                return .nothing(Finding(kind: .silent, words: words))
            case .tooLarge(let limit):
                return .nothing(Finding(kind: .noList, words: "\(url) sent more than \(limit) bytes"))
            case .broken:
                return .nothing(Finding(kind: .noList, words: "\(url): \(ForeignText.short("\(error)"))"))
            }
        }
    }

    private func fetch(_ url: String, within limit: Duration) throws(HTTPError) -> HTTPResponse {
        // A coded response cannot be read here, and without the field any coding is acceptable (RFC 9110, 12.5.3).
        let headers = [HTTPHeader("Accept", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        return try http.fetch(
            HTTPRequest(.get, url, headers: headers, timeouts: HTTPTimeouts(connect: limit, total: limit)),
            maxBodyBytes: Self.maxBodyBytes)
    }

    private func judge(_ response: HTTPResponse, _ shape: ModelList.Shape, _ url: String) -> Outcome {
        let status = response.head.status
        guard status == 200 else {
            let isRefused = hostRefusal(status, isBodyEmpty: response.body.isEmpty) != nil
            return .nothing(
                Finding(kind: isRefused ? .hostRefused : .noList, words: "\(url) responded with \(status)"))
        }
        do throws(ModelList.Problem) {
            return .models(try ModelList(response.body, shape).models)
        } catch {
            let words =
                switch error {
                case .noList: "something other than a list" + Self.kind(of: response.head)
                case .noModelInIt: "a list without a valid model"
                }
            return .nothing(Finding(kind: .noList, words: "\(url) sent \(words)"))
        }
    }

    /// The coding of a body, else its type, in parentheses.
    private static func kind(of head: HTTPResponseHead) -> String {
        let coding = word(head.headers.first("Content-Encoding"))
        if !coding.isEmpty && !coding.equalsIgnoringCase("identity") { return " (Content-Encoding: \(coding))" }
        let type = word(head.headers.first("Content-Type"))
        return type.isEmpty || type.equalsIgnoringCase("application/json") ? "" : " (\(type))"
    }

    /// A field's value up to its parameters, which are not shown.
    private static func word(_ value: String?) -> String {
        ForeignText.short(String((value ?? "").prefix { $0 != ";" && $0 != " " }))
    }

    private func hostRefusal(_ status: Int, isBodyEmpty: Bool) -> String? {
        HostRefusal.explanation(status: status, isBodyEmpty: isBodyEmpty, url: baseURL)
    }

    private func failure(_ findings: [Finding]) -> NoModelList {
        let words = findings.map(\.words).joined(separator: "; ")
        // The kind that says most about the remedy comes first.
        let kinds = findings.map(\.kind)
        if kinds.contains(.hostRefused), let refusal = hostRefusal(403, isBodyEmpty: true) {
            return NoModelList(kind: .hostRefused, description: "\(refusal) (\(words))")
        }
        if kinds.contains(.silent) {
            return NoModelList(kind: .silent, description: "has not responded yet: \(words)")
        }
        return NoModelList(kind: .noList, description: "no list of models: \(words)")
    }
}

/// Why the list of the engine's models is unknown.
struct NoModelList: Error, Equatable, CustomStringConvertible {
    enum Kind: Equatable {
        /// No connection can be made: refused, not resolved, or TLS failed.
        case unreachable
        /// No list came in time, and at least one URL has not responded.
        case silent
        /// Ollama refuses the Host of `ollama.url`.
        case hostRefused
        /// Every URL has responded, none of them with a list.
        case noList
    }

    let kind: Kind
    /// For the log and the report; names each URL that was asked and its outcome, without any body.
    let description: String

    /// No request could be made in time.
    static let notYet = NoModelList(kind: .silent, description: "has not responded yet")
}
