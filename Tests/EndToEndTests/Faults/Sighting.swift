import Foundation
import TestSupport

/// The outcome of a completion as its client saw it.
enum Sighting: Equatable, Sendable {
    /// A whole response of the engine's, or a whole stream up to its `[DONE]`.
    case whole(isStream: Bool)
    /// An error in OpenAI's shape.
    case refused(status: Int, code: String)
    /// A stream that ended early: with an event that says why, or without a word.
    case cut(tokens: Int, code: String?)
    /// A response that was shorter than its head said, or broke off in the middle of a chunk.
    case broken
    /// No response at all.
    case noConnection
    /// Anything else: no test expects it.
    case other(String)

    /// In the words of the document.
    var text: String {
        switch self {
        case .whole(let isStream): isStream ? "200, the whole stream" : "200"
        case .refused(let status, let code): "\(status) `\(code)`"
        case .cut(let tokens, let code?): "200, \(tokens) of 3 tokens, then an event `\(code)`"
        case .cut(let tokens, nil): "200, \(tokens) of 3 tokens, no `[DONE]`"
        case .broken: "200, then a connection that breaks off"
        case .noConnection: "no connection"
        case .other(let text): "unexpected: \(text)"
        }
    }

    /// What is lost, given whether the engine had begun with it.
    func loss(hasReachedEngine: Bool) -> String {
        switch self {
        case .whole: "nothing"
        case .refused where !hasReachedEngine, .noConnection: "nothing: the engine never saw it"
        case .refused: "the response"
        case .cut, .broken, .other: "the rest of the response"
        }
    }

    /// The response of the rig's engine.
    static let json = #"{"choices":[]}"#
    static let tokens = ["a", "b", "c"]

    /// Reads a completion's response to its end; blocks.
    static func of(_ probe: HTTPProbe) -> Sighting {
        guard let response = try? probe.response() else { return .noConnection }
        return of(response)
    }

    /// The same after the head, and perhaps some of the body.
    static func of(_ response: HTTPProbeResponse, begun: [UInt8] = []) -> Sighting {
        let isStream = response.head["Content-Type"] == "text/event-stream"
        var body = begun
        do {
            while case let piece = try response.body.next(), !piece.isEmpty { body += piece }
        } catch {
            return response.status == 200 ? .broken : .other("\(response.status), broken off")
        }
        let text = String(decoding: body, as: UTF8.self)
        return isStream ? of(events: text) : of(response, text)
    }

    private static func of(_ response: HTTPProbeResponse, _ text: String) -> Sighting {
        if response.status == 200 { return text.hasPrefix(json) ? .whole(isStream: false) : .other("200 \(text)") }
        guard let code = code(in: text), response.head["Content-Type"] == "application/json" else {
            return .other("\(response.status) \(text)")
        }
        return .refused(status: response.status, code: code)
    }

    private static func of(events text: String) -> Sighting {
        let events = text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
        let seen = events.filter { event in tokens.contains { event == "data: \($0)" } }.count
        switch events.last {
        case "data: [DONE]" where seen == tokens.count: return .whole(isStream: true)
        case let last?: return .cut(tokens: seen, code: code(in: String(last.dropFirst("data: ".count))))
        case nil: return .cut(tokens: 0, code: nil)
        }
    }

    private static func code(in text: String) -> String? {
        let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return (object?["error"] as? [String: Any])?["code"] as? String
    }
}
