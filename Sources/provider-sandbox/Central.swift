import FlyingFox
import Foundation

/// The part of the central system's API that a provider uses.
actor Central {
    private let key: String
    private let hmacPrefix: String
    private var lastReport: Data?

    /// - Parameters:
    ///   - key: the only key that it accepts; empty for any.
    ///   - hmacPrefix: the beginning of every valid HMAC.
    init(key: String, hmacPrefix: String) {
        self.key = key
        self.hmacPrefix = hmacPrefix
    }

    func respond(to request: HTTPRequest) async -> HTTPResponse {
        switch (request.method, request.path) {
        case (.POST, "/api/provider/validate_hmac"): await ifAuthorized(request, validate)
        case (.POST, "/api/provider/health"): await ifAuthorized(request, receive)
        case (.GET, "/sandbox/report"): lastReport.map { .json(200, $0) } ?? failure(404, "no report yet")
        default: failure(404, "not found")
        }
    }

    private func ifAuthorized(
        _ request: HTTPRequest, _ respond: (Data) -> HTTPResponse
    ) async -> HTTPResponse {
        let prefix = "Bearer "
        guard let header = request.headers[.authorization], header.hasPrefix(prefix) else {
            return failure(401, "no API key")
        }
        let sent = header.dropFirst(prefix.count)
        guard !sent.isEmpty, key.isEmpty || sent == key else { return failure(401, "unknown API key") }
        guard let body = try? await request.bodyData else { return failure(400, "no body") }
        return respond(body)
    }

    private func validate(_ body: Data) -> HTTPResponse {
        guard let question = try? JSONDecoder.snakeCase.decode(HMACQuestion.self, from: body) else {
            return failure(400, "no \"hmac\" in the body")
        }
        guard question.hmac.hasPrefix(hmacPrefix) else {
            return .json(401, HMACVerdict(valid: false, error: "invalid HMAC"))
        }
        return .json(200, HMACVerdict(valid: true))
    }

    private func receive(_ body: Data) -> HTTPResponse {
        do throws(ReceivedReport.Mismatch) {
            _ = try ReceivedReport(body)
        } catch {
            return failure(400, error.description)
        }
        lastReport = body
        return HTTPResponse(statusCode: .ok)
    }

    private func failure(_ status: Int, _ message: String) -> HTTPResponse {
        .json(status, ["error": message])
    }
}
