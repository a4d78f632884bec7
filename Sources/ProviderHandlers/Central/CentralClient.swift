/// Requests to the central system, all with the provider's key.
public struct CentralClient: Sendable {
    private let http: HTTPClient
    private let provider: Configuration.Provider

    public init(http: HTTPClient, provider: Configuration.Provider) {
        self.http = http
        self.provider = provider
    }

    /// The central system's responses are small (bytes).
    private static let maxBodyBytes = 65_536

    /// Posts JSON. No redirect is followed, so the key goes to `provider.url` alone.
    func post(_ path: String, _ json: [UInt8], total: Duration) throws(HTTPError) -> HTTPResponse {
        try http.fetch(request(path, json, total), maxBodyBytes: Self.maxBodyBytes)
    }

    /// The same, until the interruption happens.
    func post<Failure>(
        _ path: String, _ json: [UInt8], total: Duration, interruption: Interruption<Failure>
    ) throws(TransferError<Failure>) -> HTTPResponse {
        try http.fetch(request(path, json, total), maxBodyBytes: Self.maxBodyBytes, interruption: interruption)
    }

    /// Posts JSON on a connection of its own, and describes that connection.
    func examine(
        _ path: String, _ json: [UInt8], total: Duration
    ) -> (outcome: Result<HTTPResponse, HTTPError>, connection: HTTPConnectionFacts) {
        http.examine(request(path, json, total), maxBodyBytes: Self.maxBodyBytes)
    }

    private func request(_ path: String, _ json: [UInt8], _ total: Duration) -> HTTPRequest {
        var headers = [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Accept", "application/json")]
        if !provider.apiKey.isEmpty {
            headers.append(HTTPHeader("Authorization", "Bearer " + provider.apiKey.reveal()))
        }
        return HTTPRequest(
            .post, provider.url + path, headers: headers, body: .bytes(json),
            timeouts: HTTPTimeouts(connect: .seconds(3), total: total))
    }
}
