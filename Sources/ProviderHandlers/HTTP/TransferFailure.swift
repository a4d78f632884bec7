import CCurl

/// What libcurl says of a transfer that failed.
extension Transfer {
    func error(_ code: CURLcode) -> HTTPError {
        switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
            CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE:
            .unreachable(words(code))
        case CURLE_OPERATION_TIMEDOUT:
            .timedOut(time(CURLINFO_PRETRANSFER_TIME_T) == 0 ? "connect" : "total")
        default:
            .broken(words(code))
        }
    }

    /// What the log may say of it.
    ///
    /// A proxy's URL that libcurl can make nothing of it quotes, with the password, and where that begins and ends in such
    /// a URL nobody can tell. So what it says of a proxy is told in our words.
    private func words(_ code: CURLcode) -> String {
        let usual = unsafe String(cString: curl_easy_strerror(code))
        guard unsafe errorText.pointee != 0 else { return usual }
        let special = unsafe String(cString: errorText)
        guard proxied, special.lowercased().contains("proxy"), let variable = Self.proxyVariable else { return special }
        return "the proxy in \(variable) cannot be used (\(usual))"
    }

    /// Where libcurl finds a proxy for https, in its order (CURLOPT_PROXY(3)).
    private static var proxyVariable: String? {
        let environment = Program.environment
        return ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].first { environment[$0]?.isEmpty == false }
    }
}
