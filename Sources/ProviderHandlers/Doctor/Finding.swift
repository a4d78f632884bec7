/// What a check looks at; the raw value is its stable code. The cases are in the order of the output.
public enum CheckCode: String, Sendable, CaseIterable, Encodable {
    case config
    case gpuDriver = "gpu.driver"
    case gpuSample = "gpu.sample"
    case gpuDevices = "gpu.devices"
    case engineReachable = "engine.reachable"
    case engineModels = "engine.models"
    case engineCompletion = "engine.completion"
    case workerSocket = "worker.socket"
    case workerRunning = "worker.running"
    case nginxSite = "nginx.site"
    case centralReachable = "central.reachable"
    case centralTLS = "central.tls"
    case centralKey = "central.key"
    case centralClock = "central.clock"
    case tunnelAgent = "tunnel.agent"
    case tunnelPublic = "tunnel.public"
    case reportTimer = "report.timer"
    case reportLast = "report.last"
}

/// The result of one check. No text in it holds a key, an HMAC or a prompt.
public struct Finding: Sendable, Equatable, Encodable {
    public enum Status: String, Sendable, Encodable {
        case ok, warn, fail
        /// Does not apply here, needs more rights, or depends on a check that failed.
        case skip
    }

    public let code: CheckCode
    public let status: Status
    /// What was seen, in one line.
    public let saw: String
    /// One command or one edit that mends it; empty unless the status is `warn` or `fail`.
    public let fix: String

    private init(_ code: CheckCode, _ status: Status, _ saw: String, fix: String = "") {
        self.code = code
        self.status = status
        // Parts of it may come from other programs.
        self.saw = ForeignText.printable(saw, limit: 1000, replacement: " ")
        self.fix = ForeignText.printable(fix, limit: 1000, replacement: " ")
    }

    static func ok(_ code: CheckCode, _ saw: String) -> Finding { Finding(code, .ok, saw) }

    static func warn(_ code: CheckCode, _ saw: String, fix: String) -> Finding { Finding(code, .warn, saw, fix: fix) }

    static func fail(_ code: CheckCode, _ saw: String, fix: String) -> Finding { Finding(code, .fail, saw, fix: fix) }

    static func skip(_ code: CheckCode, _ saw: String) -> Finding { Finding(code, .skip, saw) }

    static func skip(_ code: CheckCode, because failed: CheckCode) -> Finding {
        Finding(code, .skip, "not looked at, because \(failed.rawValue) failed")
    }

    var isFailure: Bool { status == .fail }
}

extension [Finding] {
    /// For checks whose look did not end in time: the first has failed, the others depend on it.
    static func overdue(_ codes: CheckCode..., limit: Duration) -> [Finding] {
        codes.enumerated().map { index, code in
            index == 0
                ? .fail(
                    code, "no result within \(limit.inSeconds.formatted(1)) s",
                    fix: "look for processes that hang: ps -eo pid,stat,wchan,args")
                : .skip(code, because: codes[0])
        }
    }
}
