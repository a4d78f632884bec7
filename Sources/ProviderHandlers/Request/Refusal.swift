/// Why a request ended without the response it asked for.
public enum Interrupted: Error, Equatable {
    case refused(Refusal)
    /// The client has left: nginx has closed the connection, or the request body was cut off.
    ///
    /// The only error for this event, from the socket to the log.
    case clientGone
}

/// Every refusal: the only place that maps a reason to a status and a code.
///
/// Codes are part of the interface (docs/API.md, "Errors"): they never change their meaning.
public enum Refusal: Error, Equatable {
    case notFound
    case methodNotAllowed(allowed: [String])
    case bodyTooLarge(limit: Int)
    case emptyBody
    /// A Content-Length that is not a number, or a body longer than its Content-Length.
    case badRequest
    case gpuBusy
    case gpuUnknown
    case tooManyInFlight(limit: Int)
    case missingHMAC(header: String)
    /// The header occurs more than once.
    case repeatedHMAC(header: String)
    case invalidHMAC
    case hmacUnavailable
    case engineUnreachable
    case engineTimeout
    /// The engine broke off its response.
    case engineBroken
    /// The head of the engine's response is larger than nginx takes.
    case engineHeadTooLarge
    case shuttingDown

    /// The refusal for a failed transfer to the engine.
    init(engine error: HTTPError) {
        switch error {
        case .unreachable: self = .engineUnreachable
        case .timedOut: self = .engineTimeout
        case .broken, .tooLarge: self = .engineBroken
        }
    }

    var status: Int {
        switch self {
        case .notFound: 404
        case .methodNotAllowed: 405
        case .bodyTooLarge: 413
        case .emptyBody, .badRequest, .repeatedHMAC: 400
        case .gpuBusy, .gpuUnknown, .tooManyInFlight, .hmacUnavailable, .shuttingDown: 503
        case .missingHMAC, .invalidHMAC: 401
        case .engineUnreachable, .engineBroken, .engineHeadTooLarge: 502
        case .engineTimeout: 504
        }
    }

    var code: String {
        switch self {
        case .notFound: "not_found"
        case .methodNotAllowed: "method_not_allowed"
        case .bodyTooLarge: "body_too_large"
        case .emptyBody: "empty_body"
        case .badRequest, .repeatedHMAC: "bad_request"
        case .gpuBusy: "gpu_busy"
        case .gpuUnknown: "gpu_unknown"
        case .tooManyInFlight: "too_many_requests_in_flight"
        case .missingHMAC: "missing_hmac"
        case .invalidHMAC: "invalid_hmac"
        case .hmacUnavailable: "hmac_unavailable"
        case .engineUnreachable, .engineBroken, .engineHeadTooLarge: "engine_unreachable"
        case .engineTimeout: "engine_timeout"
        case .shuttingDown: "shutting_down"
        }
    }

    /// For the person who reads it at the other end; names no secret and no inner detail.
    var message: String {
        switch self {
        case .notFound:
            "Not found; there are /health, /busy, /v1/chat/completions and /v1/completions"
        case .methodNotAllowed(let allowed): "Method not allowed; use \(allowed.joined(separator: " or "))"
        case .bodyTooLarge(let limit): "The request body is larger than \(limit) bytes"
        case .emptyBody: "The request body is empty"
        case .badRequest: "The request is malformed"
        case .gpuBusy: "GPU is busy"
        case .gpuUnknown: "GPU state is unknown"
        case .tooManyInFlight(let limit): "The limit of \(limit) requests in flight is reached"
        case .missingHMAC(let header): "The header \(header) is missing"
        case .repeatedHMAC(let header): "The header \(header) occurs more than once"
        case .invalidHMAC: "The HMAC is invalid"
        case .hmacUnavailable: "The HMAC cannot be validated at the moment"
        case .engineUnreachable: "The engine cannot be reached"
        case .engineBroken: "The engine broke off its response"
        case .engineHeadTooLarge: "The head of the engine's response is too large"
        case .engineTimeout: "The engine did not respond in time"
        case .shuttingDown: "The provider is shutting down"
        }
    }

    /// OpenAI's word for the kind of error. Clients choose their exception by status and show this word.
    private var type: String {
        switch status {
        case 401: "authentication_error"
        case 400..<500: "invalid_request_error"
        default: "server_error"
        }
    }

    private var extraHeaders: [HTTPHeader] {
        switch self {
        case .methodNotAllowed(let allowed): [HTTPHeader("Allow", allowed.joined(separator: ", "))]
        // A GPU sample lasts a second: an earlier request would meet the same sample.
        case .gpuBusy, .gpuUnknown, .tooManyInFlight, .hmacUnavailable, .shuttingDown: [HTTPHeader("Retry-After", "1")]
        default: []
        }
    }

    /// The whole response.
    var response: HTTPResponse {
        JSONResponse.make(status: status, ErrorBody(self), headers: extraHeaders)
    }

    /// The event that ends a stream which cannot be finished; the official OpenAI client raises on it.
    var event: [UInt8] {
        Array("data: ".utf8) + JSON.encode(ErrorBody(self)) + Array("\n\n".utf8)
    }

    private struct ErrorBody: Encodable {
        struct Detail: Encodable {
            let message: String
            let type: String
            /// Always null: the shape demands the key.
            @Nullable var param: String?
            let code: String
        }

        let error: Detail

        init(_ refusal: Refusal) {
            error = Detail(message: refusal.message, type: refusal.type, param: nil, code: refusal.code)
        }
    }
}
