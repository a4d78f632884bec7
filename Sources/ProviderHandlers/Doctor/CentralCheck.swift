import Glibc

/// What one request to the central system shows: the validation of an HMAC that cannot be valid. No report is sent.
struct CentralCheck: Sendable {
    private static let limit = Duration.seconds(10)
    /// Days that a certificate has left when the warnings begin.
    private static let fewDays = 14
    /// Seconds.
    private static let clockLimit = 30

    /// How the key stands before central says anything.
    enum Key: Sendable, Equatable {
        case present
        case missing
        /// There may be a key, which this user cannot read.
        case unreadable(String)
    }

    var url: String
    var key: Key
    /// What to do about a refused key.
    var keyAdvice: String
    var outcome: Result<HTTPResponse, HTTPError>
    var connection = HTTPConnectionFacts()
    /// Our time when the response came (Unix time).
    var now: Int

    static func look(_ loaded: LoadedConfiguration) -> Self {
        let provider = loaded.configuration.provider
        let client = CentralClient(http: HTTPClient(proxied: true), provider: provider)
        let seen = client.examine(
            "/api/provider/validate_hmac", JSON.encode(["hmac": madeUpHMAC()]), total: limit)
        return Self(
            url: provider.url, key: key(loaded), keyAdvice: provider.keyAdvice, outcome: seen.outcome,
            connection: seen.connection, now: time(nil))
    }

    /// An HMAC that the central system has not given out.
    static func madeUpHMAC() -> String { "doctor-" + String(UInt64.random(in: .min ... .max), radix: 16) }

    private static func key(_ loaded: LoadedConfiguration) -> Key {
        guard loaded.missingKey != nil else { return .present }
        let file = Configuration.defaultKeyFile
        let isHidden = unsafe access(file, R_OK) != 0 && errno == EACCES
        return isHidden ? .unreadable(file) : .missing
    }

    // MARK: The judgement

    var findings: [Finding] { [reachable, tls, keyFinding, clock] }

    private var verdict: HMACValidator.Verdict? { (try? outcome.get()).map(HMACValidator.Verdict.init) }

    private var reachable: Finding {
        switch outcome {
        case .failure where connection.hasFailedInTLS: return .ok(.centralReachable, "\(url) accepts connections")
        case .failure(let error):
            return .fail(
                .centralReachable, "\(url): \(error)",
                fix: "check the network, the proxy and provider.url: curl -v \(url)")
        case .success(let response):
            guard case .none(let words) = HMACValidator.Verdict(response) else {
                return .ok(.centralReachable, "\(url) responds")
            }
            let status = response.head.status
            let fix =
                switch status {
                case 300..<400: "set provider.url to where the redirect leads: curl -I \(url)"
                case 403: "correct provider.url, or ask the operator of the central system who may connect"
                case 407: "name the proxy's user in https_proxy: http://USER:PASSWORD@HOST:PORT"
                case 408, 425, 429: "wait: the central system is busy"
                case 400..<500: "correct provider.url"
                default: "wait, or tell the operator of the central system"
                }
            return .fail(.centralReachable, "\(url): \(words)", fix: fix)
        }
    }

    private var tls: Finding {
        guard url.hasPrefix("https://") else { return .skip(.centralTLS, "provider.url is no https URL") }
        if connection.hasFailedInTLS, case .failure(let error) = outcome {
            return .fail(.centralTLS, "\(url): \(error)", fix: Self.certificateAdvice("\(error)"))
        }
        guard case .success = outcome else { return .skip(.centralTLS, because: .centralReachable) }
        guard let end = connection.certificateEnd else {
            return .ok(.centralTLS, "the certificate is valid")
        }
        let days = (end - now) / 86_400
        let saw = "the certificate is valid for \(days) more days"
        guard days < Self.fewDays else { return .ok(.centralTLS, saw) }
        return .warn(.centralTLS, saw, fix: "tell the operator of the central system to renew the certificate")
    }

    /// - Parameter error: OpenSSL's words, in libcurl's.
    private static func certificateAdvice(_ error: String) -> String {
        if error.contains("not yet valid") || error.contains("expired") {
            return "timedatectl set-ntp true; if the clock is right, the central system needs a valid certificate"
        }
        if error.contains("match") { return "correct the host in provider.url" }
        return
            "apt install --reinstall ca-certificates; if that does not help, the central system needs a valid certificate"
    }

    private var keyFinding: Finding {
        switch key {
        case .missing:
            return .fail(
                .centralKey, "no API key is set",
                fix: "install -D -m 600 /dev/stdin \(Configuration.defaultKeyFile) (type the key, Enter, Ctrl-D)")
        case .unreadable(let file):
            return .skip(.centralKey, "this user may not read \(file): run doctor as root")
        case .present: break
        }
        if reachable.isFailure { return .skip(.centralKey, because: .centralReachable) }
        if tls.isFailure { return .skip(.centralKey, because: .centralTLS) }
        guard let verdict else { return .skip(.centralKey, because: .centralReachable) }
        switch verdict {
        case .keyRefused:
            return .fail(.centralKey, "the central system refuses the key (401)", fix: keyAdvice)
        case .valid:
            return .warn(
                .centralKey, "the key is taken, but the central system calls a made-up HMAC valid",
                fix: "tell the operator of the central system")
        default: return .ok(.centralKey, "the central system takes the key")
        }
    }

    private var clock: Finding {
        guard case .success(let response) = outcome else {
            return .skip(.centralClock, because: tls.isFailure ? .centralTLS : .centralReachable)
        }
        guard let date = response.head.headers.first("Date").flatMap(HTTPDate.time) else {
            return .skip(.centralClock, "the central system's response has no date")
        }
        let difference = now - date
        let saw = "\(abs(difference)) s \(difference < 0 ? "behind" : "ahead of") the central system's"
        guard abs(difference) > Self.clockLimit else {
            return .ok(.centralClock, "the clock is within \(Self.clockLimit) s of the central system's")
        }
        return .warn(.centralClock, "the clock is \(saw)", fix: "timedatectl set-ntp true")
    }
}
