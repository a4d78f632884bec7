import Foundation
import TestSupport

/// A complete response, and whether its request may have it.
struct SoakResponse {
    private let status: Int
    private let isStream: Bool
    private let text: String
    private let code: String?

    init(_ response: HTTPProbeResponse, _ text: String) {
        status = response.status
        isStream = response.head["Content-Type"] == "text/event-stream"
        self.text = text
        code =
            isStream
            ? Self.code(text.components(separatedBy: "\n\n").last { !$0.isEmpty }?.dropFirst(6) ?? "")
            : Self.code(text[...])
    }

    private static func code(_ text: Substring) -> String? {
        let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return (object?["error"] as? [String: Any])?["code"] as? String
    }

    func judged(
        for request: SoakRequest, since started: ContinuousClock.Instant, _ ledger: Ledger
    ) -> (Ledger.Ending, String) {
        if isServed(request) { return (.served, "\(request.kind)") }
        // Killed, it cannot say so (docs/RELIABILITY.md): what is missing is the stream's end.
        if status == 200 && isStream && ledger.had(.worker, since: started) && !text.contains("[DONE]") {
            return (.cut, "without an end, the worker being killed")
        }
        guard let code else { return (.unexplained, "\(status) \(text.prefix(200))") }
        let isExplained = isExplained(code, request, since: started, ledger)
        let ending: Ledger.Ending = isStream ? .cut : .refused
        return isExplained ? (ending, "\(status) \(code)") : (.unexplained, "\(status) \(code), without a cause")
    }

    /// Whether it is exactly what a healthy provider gives.
    private func isServed(_ request: SoakRequest) -> Bool {
        switch request.kind {
        case .short, .largeBody: status == 200 && isJSON(300, request)
        case .largeResponse: status == 200 && isJSON(10_000_000, request)
        case .stream: status == 200 && text == Self.stream(5)
        case .longStream: status == 200 && text == Self.stream(200)
        case .leavesLate, .leavesEarly: status == 200 && text == Self.stream(SoakRequest.endless)
        case .unknownModel: status == 404 && text.contains("model not found")
        // Busy is a response as well; 503, with the reason, when engine or GPU have trouble.
        case .busy: status == 200 && text.hasPrefix(#"{"busy":"#)
        case .health: status == 200 || status == 503 && text.contains(#""errors":["#)
        // Never.
        case .badHMAC, .tooLargeBody: false
        }
    }

    private func isJSON(_ size: Int, _ request: SoakRequest) -> Bool {
        text.utf8.count == size && text.hasPrefix("{\"id\":\"\(request.id)\"}")
    }

    private static func stream(_ tokens: Int) -> String {
        (0..<tokens).map { "data: \($0)\n\n" }.joined() + "data: [DONE]\n\n"
    }

    private func isExplained(
        _ code: String, _ request: SoakRequest, since started: ContinuousClock.Instant, _ ledger: Ledger
    ) -> Bool {
        switch (status, code) {
        case (401, "invalid_hmac"): request.kind == .badHMAC
        case (413, "body_too_large"): request.kind == .tooLargeBody
        // There are more clients than places.
        case (503, "too_many_requests_in_flight"): true
        case (503, "gpu_busy"), (503, "gpu_unknown"): ledger.had(.gpu, since: started)
        case (503, "worker_unavailable"): ledger.had(.worker, since: started)
        case (503, "hmac_unavailable"): ledger.isCentralToBlame(for: request.id, since: started)
        case (502, "engine_unreachable"), (200, "engine_unreachable"):
            ledger.isEngineToBlame(for: request.id, since: started)
        case (504, "engine_timeout"), (200, "engine_timeout"):
            ledger.isEngineToBlame(for: request.id, since: started) || ledger.had(.standstill, since: started)
        default: false
        }
    }
}
