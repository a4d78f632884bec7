/// Whether the worker's socket is there and a worker accepts and responds.
struct WorkerCheck: Sendable {
    /// Where a worker by itself is started.
    private static let start = "systemctl start provider-fcgi.target"

    var name: String
    var place: WorkerSocket.Place
    var reply: WorkerSocket.Reply
    /// Active workers and failed ones, by systemd; nil without systemd or without our units.
    var units: Units?

    struct Units: Sendable, Equatable {
        var active: Int
        var failed: Int
    }

    static func look(_ server: Configuration.Server) -> Self {
        let socket = WorkerSocket(server: server)
        return Self(name: socket.name, place: socket.place, reply: socket.ask(), units: units())
    }

    private static func units() -> Units? {
        guard Systemd.isRunning, let shown = Systemd.show(["provider-fcgi@*.service"], ["ActiveState"]) else {
            return nil
        }
        return judge(shown)
    }

    static func judge(_ shown: [[String: String]]) -> Units? {
        let states = shown.compactMap { $0["ActiveState"] }
        guard !states.isEmpty else { return nil }
        return Units(
            active: states.count { ["active", "reloading"].contains($0) }, failed: states.count { $0 == "failed" })
    }

    // MARK: The judgement

    /// - Parameter site: what nginx makes of the worker, for a user who may not connect to the socket.
    func findings(_ site: SiteCheck?) -> [Finding] {
        let socket = socket(site)
        return [socket, socket.isFailure ? .skip(.workerRunning, because: .workerSocket) : running(site)]
    }

    private func socket(_ site: SiteCheck?) -> Finding {
        switch place {
        case .missing where site?.kind == .worker:
            return .fail(
                .workerSocket, "\(name) does not exist, but a worker responds through nginx",
                fix: "name that worker's configuration with --config")
        case .missing:
            return .fail(.workerSocket, "\(name) does not exist", fix: Self.start)
        case .noSocket:
            return .fail(.workerSocket, "\(name) is not a socket", fix: "remove it, and \(Self.start)")
        case .hidden:
            return .skip(.workerSocket, "this user may not look at \(name): run doctor as root")
        case .port: return .ok(.workerSocket, "TCP \(name), as server.host and server.port say")
        case .socket(let mode, let group):
            let octal = String(mode, radix: 8)
            let saw = "\(name), mode 0\(octal), group \(group)"
            guard mode & 0o006 == 0 else {
                return .warn(.workerSocket, "\(saw): every user may connect", fix: "chmod 0660 \(name)")
            }
            return .ok(.workerSocket, saw)
        }
    }

    private func running(_ site: SiteCheck?) -> Finding {
        let log = "journalctl -t provider-fcgi -n 50"
        switch reply {
        case .output(let text):
            if text.contains("{\"busy\":") { return .ok(.workerRunning, "a worker responds\(unitWords)") }
            return .fail(
                .workerRunning, "what accepts there is no provider-fcgi",
                fix: "end the program that has \(name), and \(Self.start)")
        case .refused: return .fail(.workerRunning, "nobody accepts\(unitWords)", fix: Self.start)
        case .silent:
            return .fail(
                .workerRunning, "no response within 5 s\(unitWords)",
                fix: "systemctl restart provider-fcgi.target; its log: \(log)")
        case .failed(let reason): return .fail(.workerRunning, "\(reason)\(unitWords)", fix: log)
        case .forbidden: return throughNginx(site)
        }
    }

    /// This user may not connect; nginx may.
    private func throughNginx(_ site: SiteCheck?) -> Finding {
        switch site?.kind {
        case .worker: return .ok(.workerRunning, "a worker responds through nginx\(unitWords)")
        case .nginx(let code) where SiteCheck.workerTroubles.contains(code):
            return .fail(.workerRunning, "nginx reports \(code)\(unitWords)", fix: Self.start)
        default:
            return .skip(.workerRunning, "this user may not connect to \(name): run doctor as root\(unitWords)")
        }
    }

    private var unitWords: String {
        guard let units else { return "" }
        let active = units.active == 1 ? "1 unit active" : "\(units.active) units active"
        return "; \(active)" + (units.failed > 0 ? ", \(units.failed) failed" : "")
    }
}
