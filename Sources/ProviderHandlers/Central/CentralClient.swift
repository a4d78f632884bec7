/// Requests to the central system, all with the provider's key.
public struct CentralClient: Sendable {
    private let http: HTTPClient
    private let provider: Configuration.Provider

    public init(http: HTTPClient, provider: Configuration.Provider) {
        self.http = http
        self.provider = provider
    }

    /// Answers are small; a larger one is not central's.
    private static let maxAnswerBytes = 65_536

    /// Posts JSON. No redirect is followed, so the key goes to `provider.url` alone.
    func post(_ path: String, _ json: [UInt8], total: Duration, interruption: Interruption? = nil) throws(HTTPError)
        -> HTTPResponse
    {
        var headers = [HTTPHeader("Content-Type", "application/json"), HTTPHeader("Accept", "application/json")]
        if !provider.apiKey.isEmpty {
            headers.append(HTTPHeader("Authorization", "Bearer " + provider.apiKey.reveal()))
        }
        let request = HTTPRequest(
            .post, provider.url + path, headers: headers, body: .bytes(json),
            timeouts: HTTPTimeouts(connect: .seconds(3), total: total))
        return try http.fetch(request, maxBodyBytes: Self.maxAnswerBytes, interruption: interruption)
    }
}
