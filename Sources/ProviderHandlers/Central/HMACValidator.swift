import FoundationEssentials
public import Logging

/// Asks the central system whether a request's HMAC is valid. No verdict is kept: the central system notices a replay.
public struct HMACValidator: Sendable {
    /// A longer value is no HMAC (bytes).
    private static let maxLength = 512

    private let central: CentralClient
    private let provider: Configuration.Provider
    private let logger: Logger

    public init(central: CentralClient, provider: Configuration.Provider, logger: Logger) {
        self.central = central
        self.provider = provider
        self.logger = logger
    }

    /// Returns when the request may go on.
    ///
    /// - Throws: `.missingHMAC`, `.repeatedHMAC`, `.invalidHMAC` or `.hmacUnavailable`; `clientGone` when the client has
    ///   left.
    func check(_ exchange: Exchange, _ cancellation: Cancellation) throws(Interrupted) {
        let hmac = exchange.request.hmac
        guard !hmac.isEmpty else {
            if provider.hmac == .required { throw .refused(.missingHMAC(header: provider.hmacHeader)) }
            return
        }
        // Of several HMACs none is chosen: another server on the way may have judged another one.
        guard !hmac.contains(", ") else { throw .refused(.repeatedHMAC(header: provider.hmacHeader)) }
        guard hmac.utf8.count <= Self.maxLength, hmac.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .refused(.invalidHMAC)
        }
        let started = ContinuousClock.now
        // nil when the request ended first, which says nothing about the central system.
        var timing: Timing? = .unavailableHMAC
        defer { exchange.validation = timing.map { ($0, ContinuousClock.now - started) } }
        let response: HTTPResponse
        do throws(TransferError<Interrupted>) {
            response = try central.post(
                "/api/provider/validate_hmac", JSON.encode(["hmac": hmac]), total: .seconds(10),
                interruption: exchange.interruption(cancellation))
        } catch {
            switch error {
            case .failed(let error): throw unavailable("\(error)", exchange)
            case .stopped(let reason):
                timing = nil
                throw reason
            }
        }
        switch Verdict(response) {
        case .valid: timing = .validHMAC
        case .invalid:
            timing = .invalidHMAC
            throw .refused(.invalidHMAC)
        case .none(let cause): throw unavailable(cause, exchange)
        case .keyRefused: throw unavailable(keyRefusal, exchange)
        }
    }

    /// The meaning of a response of the central system.
    enum Verdict: Equatable {
        case valid
        case invalid
        /// No verdict, and why.
        case none(String)
        /// No verdict: the central system does not accept our own key.
        case keyRefused

        init(_ response: HTTPResponse) {
            struct Body: Decodable { let valid: Bool }
            let body = try? JSONDecoder().decode(Body.self, from: Data(response.body))
            self =
                switch (body?.valid, response.head.status) {
                case (false, _): .invalid
                case (true, 200): .valid
                case (nil, 401): .keyRefused
                case (_, let status): .none("the central system responded with \(status) without a verdict")
                }
        }
    }

    private var keyRefusal: String {
        provider.apiKey.isEmpty
            ? "the central system requires an API key (401): \(provider.keyAdvice)"
            : "the central system refuses the API key of this machine (401); \(provider.keyAdvice)"
    }

    private func unavailable(_ cause: String, _ exchange: Exchange) -> Interrupted {
        logger.warning("HMAC cannot be validated: \(cause)", metadata: ["id": "\(exchange.request.id)"])
        return .refused(.hmacUnavailable)
    }
}
