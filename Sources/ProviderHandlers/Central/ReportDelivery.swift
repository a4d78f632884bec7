import Glibc
import Logging

/// Delivers a report to the central system, and tries again while that can help.
struct ReportDelivery {
    enum Outcome: Equatable {
        case delivered(attempts: Int)
        /// The central system could not take the report now; the next report may succeed.
        case notDelivered(cause: String, attempts: Int)
        /// The central system refuses the report, and would refuse it again.
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
    ///
    /// - Parameter status: becomes that of the central system's last response; nil without a response.
    func deliver(_ report: [UInt8], status: inout Int?) -> Outcome {
        let deadline = ContinuousClock.now + limit
        var attempts = 0
        while true {
            attempts += 1
            let rest = deadline - ContinuousClock.now
            let cause: String
            var retryAfter: Duration?
            do throws(HTTPError) {
                let response = try central.post(
                    "/api/provider/health", report, total: min(Self.attemptLimit, rest))
                status = response.head.status
                switch response.head.status {
                case 200..<300: return .delivered(attempts: attempts)
                case 429, 500...:
                    cause = "the central system responded with \(response.head.status)"
                    retryAfter = response.retryAfter
                default: return .refused(status: response.head.status)
                }
            } catch {
                status = nil
                cause = "\(error)"
            }
            let pause = max(Self.backoff(attempts), retryAfter ?? .zero)
            guard ContinuousClock.now + pause < deadline else {
                return .notDelivered(cause: cause, attempts: attempts)
            }
            logger.debug("attempt \(attempts): \(cause); next attempt in \(pause.milliseconds) ms")
            Self.sleep(pause)
        }
    }

    /// 1, 2, 4 … 16 s, times a random factor from a half to one. Machines that failed together then do not come back
    /// together.
    static func backoff(_ attempt: Int) -> Duration {
        let full = Double(1 << min(attempt - 1, 4))
        return .seconds(full * Double.random(in: 0.5...1))
    }

    /// Blocks the calling thread.
    static func sleep(_ duration: Duration) {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            poll(nil, 0, (end - .now).pollMilliseconds)
        }
    }
}
