import Glibc
import Logging
import ProviderHandlers

/// systemd's watchdog: told regularly that the worker works, and not told when it does not (sd_watchdog_enabled(3)).
struct Watchdog {
    /// The longest time between looks while there is work, even without a watchdog: looks also start and end threads.
    private static let maxInterval = Duration.seconds(1)
    /// The same while there is none: an idle machine is not woken for nothing.
    private static let maxCalmInterval = Duration.seconds(5)

    /// Between two looks while there is work. Each look sends a ping if all is well.
    private let interval: Duration
    private let calmInterval: Duration
    private let isWatched: Bool
    private var liveness: Liveness
    private var stuck: String?

    /// - Parameter environment: `WATCHDOG_USEC`, and `WATCHDOG_PID` when it is meant for one process only.
    init(_ environment: [String: String]) {
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let limit = environment["WATCHDOG_USEC"].flatMap { Int($0) } ?? 0
        isWatched = isForUs && limit > 0
        let time = isWatched ? Duration.microseconds(limit) : .seconds(30)
        // A quarter: a ping may be late by as much again and is still in time.
        calmInterval = max(min(time / 4, Self.maxCalmInterval), .milliseconds(1))
        interval = min(calmInterval, Self.maxInterval)
        liveness = Liveness(interval: calmInterval, patience: time)
    }

    /// Looks at the worker, and pings when it works.
    ///
    /// - Returns: when to look again.
    mutating func look(_ threads: WorkerThreads, _ sampler: GPUSampler, _ logger: Logger) -> Duration {
        let isCalm = threads.adjust()
        let accepting = threads.accepting
        if isWatched { judge(accepting, sampler, logger) }
        return isCalm && !accepting.isWaiting && stuck == nil ? calmInterval : interval
    }

    private mutating func judge(_ accepting: Liveness.Accepting, _ sampler: GPUSampler, _ logger: Logger) {
        let found = liveness.look(at: .now, accepting, sampler.progress)
        if let found, stuck == nil {
            logger.critical("worker is stuck; the watchdog will restart it: \(found)")
        } else if found == nil, stuck != nil {
            logger.notice("worker is no longer stuck")
        }
        stuck = found
        if found == nil { ServiceManager.notify("WATCHDOG=1") }
    }
}

/// Tells systemd how the worker is (sd_notify(3)); says nothing to anyone else.
enum ServiceManager {
    /// CLOCK_MONOTONIC in microseconds, by which systemd tells which reload a message belongs to.
    static var monotonicMicroseconds: Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }

    /// One datagram to the socket named by `$NOTIFY_SOCKET`; libsystemd would be a whole library for it.
    static func notify(_ state: String) {
        guard let name = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }), !name.isEmpty else {
            return
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var path = Array(name.utf8)
        guard path.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else { return }
        // An abstract socket is written with @ and starts with a zero byte.
        if path.first == UInt8(ascii: "@") { path[0] = 0 }
        unsafe withUnixAddress(path) { address, size in
            _ = unsafe sendto(descriptor, state, state.utf8.count, CInt(MSG_NOSIGNAL), address, size)
        }
    }
}
