import CCurl
import Glibc
import Logging

/// Delivers a report to central, trying again for as long as that can help.
struct ReportDelivery {
    enum Outcome: Equatable {
        case delivered(attempts: Int)
        /// Central could not take it now; the next report may fare better.
        case notDelivered(cause: String, attempts: Int)
        /// Central refuses it, and would refuse it again.
        case refused(status: Int)
    }

    private let central: CentralClient
    /// For all attempts and the pauses between them.
    private let limit: Duration
    private let logger: Logger
    private static let attemptLimit = Duration.seconds(10)

    init(central: CentralClient, limit: Duration = .seconds(60), logger: Logger) {
        self.central = central
        self.limit = limit
        self.logger = logger
    }

    /// Blocks the calling thread until the outcome is known.
    func deliver(_ report: [UInt8]) -> Outcome {
        let deadline = ContinuousClock.now + limit
        var attempts = 0
        while true {
            attempts += 1
            let rest = deadline - ContinuousClock.now
            let cause: String
            var retryAfter: Duration?
            do throws(HTTPError) {
                let answer = try central.post(
                    "/api/provider/health", report, total: min(Self.attemptLimit, rest))
                switch answer.head.status {
                case 200..<300: return .delivered(attempts: attempts)
                case 429, 500...:
                    cause = "central answered \(answer.head.status)"
                    retryAfter = Self.retryAfter(answer.head)
                default: return .refused(status: answer.head.status)
                }
            } catch {
                cause = "\(error)"
            }
            let pause = max(Self.backoff(attempts), retryAfter ?? .zero)
            guard ContinuousClock.now + pause < deadline else {
                return .notDelivered(cause: cause, attempts: attempts)
            }
            logger.debug("attempt \(attempts): \(cause); the next in \(pause.milliseconds) ms")
            Self.sleep(pause)
        }
    }

    /// 1, 2, 4 … 16 s, each between half and the whole of it, so that machines that failed together do not come back
    /// together.
    static func backoff(_ attempt: Int) -> Duration {
        let full = Double(1 << min(attempt - 1, 4))
        return .seconds(full * Double.random(in: 0.5...1))
    }

    /// Seconds or a date (RFC 9110, 10.2.3); nil when absent or neither.
    static func retryAfter(_ head: HTTPResponseHead, now: time_t = time(nil)) -> Duration? {
        guard let value = head.headers.first("Retry-After") else { return nil }
        if let seconds = Int(value) { return .seconds(max(0, min(seconds, 86_400))) }
        // libcurl reads HTTP's three forms of a date and says -1 for anything else (curl_getdate(3)).
        let date = unsafe curl_getdate(value, nil)
        return date < 0 ? nil : .seconds(max(0, min(date - now, 86_400)))
    }

    /// Blocks the calling thread.
    static func sleep(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            poll(nil, 0, (end - .now).pollMilliseconds)
        }
    }
}
