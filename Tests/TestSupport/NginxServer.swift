import Foundation
import Synchronization

/// A real nginx with the repository's configuration, unprivileged, in its own directory.
public final class NginxServer: Sendable {
    /// Where it listens on 127.0.0.1.
    public let port: Int
    /// Where it serves the status page, /status.json and /metrics; nil for a prefix of the test's own.
    public let statusPort: Int?
    private let directory: TemporaryDirectory
    private let reservation: PortReservation
    private let statusReservation: PortReservation?
    private let command: [String]
    private let process = Mutex<ChildProcess?>(nil)
    private let listener = Mutex("")

    /// Starts it with the site; it accepts connections when this returns.
    ///
    /// - Parameters:
    ///   - workerSocket: the worker's Unix socket; need not exist yet.
    ///   - engine: address and port for the files of `ollama.forward: nginx`; nil leaves these files out.
    ///   - command: runs nginx, whose command line follows; it has to become nginx.
    ///   - limitsClients: whether the limits for each client are as shipped. Tests ask hundreds of times a second from one
    ///     address, which they are there to stop.
    ///   - extraServerDirectives: put into the server block, for example a location of the test's own.
    ///   - replacements: shipped directives and what a test has in their place, such as a shorter time.
    /// - Throws: with nginx's own words when it refuses its configuration.
    public convenience init(
        workerSocket: String, engine: String? = nil, command: [String] = [], limitsClients: Bool = false,
        extraServerDirectives: String = "", replacing replacements: [(String, String)] = []
    ) async throws {
        let reservation = try PortReservation()
        let statusReservation = try PortReservation()
        let directory = try await Self.prefix(
            port: reservation.port, workerSocket: workerSocket, engine: engine, statusPort: statusReservation.port)
        var replacements = replacements
        if !limitsClients { replacements += Self.clientLimits.map { ($0, "") } }
        for (shipped, other) in replacements { try Self.replace(shipped, by: other, in: directory) }
        if !extraServerDirectives.isEmpty { try Self.extend(directory, with: extraServerDirectives) }
        try await self.init(directory, on: reservation, statusOn: statusReservation, command: command)
    }

    /// Starts it with whatever configuration is in a prefix.
    ///
    /// - Parameters:
    ///   - reservation: the port it listens on, as nginx.conf says as well.
    ///   - statusReservation: the port of the status page, as provider-status.conf says as well.
    /// - Throws: with nginx's own words when it refuses its configuration.
    public init(
        _ prefix: TemporaryDirectory, on reservation: PortReservation,
        statusOn statusReservation: PortReservation? = nil,
        command: [String] = []
    ) async throws {
        self.reservation = reservation
        self.statusReservation = statusReservation
        port = reservation.port
        statusPort = statusReservation?.port
        self.command = command
        directory = prefix
        try await start()
    }

    /// Starts it, on the same port again after `stop`; it accepts connections when this returns.
    public func start() async throws {
        // nginx takes over the socket as it does from an older nginx that it replaces: $NGINX names the descriptor.
        let socket = try ListeningSocket(backlog: 511, on: reservation)
        var environment = ProcessInfo.processInfo.environment
        environment["NGINX"] = "\(STDIN_FILENO);"
        let command = command + [Self.executable] + Self.arguments(directory)
        let process = try withExtendedLifetime(socket) {
            try ChildProcess(
                command[0], Array(command.dropFirst()), environment: environment, standardInput: socket.descriptor)
        }
        self.process.withLock { $0 = process }
        listener.withLock { $0 = socket.name }
        // Written once the configuration is accepted; connections wait in the socket until then.
        let pidFile = directory.path + "/nginx.pid"
        try await eventually("nginx starts") {
            if let ended = process.ended {
                throw NeverHappened(description: "nginx ended (\(ended)):\n\(process.standardError)\(errorLog)")
            }
            return FileManager.default.fileExists(atPath: pidFile)
        }
    }

    /// The program.
    public static let executable = Tool.path("nginx") ?? "nginx"

    /// A new private prefix, as scripts/nginx-prefix makes it.
    public static func prefix(
        port: Int, workerSocket: String, engine: String? = nil, statusPort: Int? = nil
    ) async throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let script = try ChildProcess(
            Repository.root + "/scripts/nginx-prefix",
            [directory.path, String(port), workerSocket, engine ?? "", statusPort.map(String.init) ?? ""])
        guard try await script.waitForExit() == .status(0) else {
            throw NeverHappened(description: "scripts/nginx-prefix failed:\n\(script.standardError)")
        }
        return directory
    }

    /// The command line for a prefix.
    public static func arguments(_ prefix: TemporaryDirectory) -> [String] {
        ["-e", "stderr", "-p", prefix.path, "-c", prefix.path + "/nginx.conf"]
    }

    private static let clientLimits = [
        "limit_req zone=provider_requests burst=200 nodelay;", "limit_conn provider_connections 256;",
    ]

    private static func replace(_ shipped: String, by other: String, in prefix: TemporaryDirectory) throws {
        var isFound = false
        for name in ["sites-enabled/provider.conf", "conf.d/00-provider-http.conf"]
            + ["worker", "limits", "tunnel", "locations", "handoff"].map({ "snippets/provider-\($0).conf" })
        {
            guard let text = try? String(contentsOfFile: prefix.path + "/" + name, encoding: .utf8),
                text.contains(shipped)
            else { continue }
            try prefix.write(text.replacingOccurrences(of: shipped, with: other), to: name)
            isFound = true
        }
        if !isFound { throw NeverHappened(description: "nginx/ has no such directive any more: \(shipped)") }
    }

    private static func extend(_ prefix: TemporaryDirectory, with directives: String) throws {
        let name = "sites-enabled/provider.conf"
        let include = "    include snippets/provider-locations[.]conf;\n"
        let file = try String(contentsOfFile: prefix.path + "/" + name, encoding: .utf8)
        try prefix.write(file.replacingOccurrences(of: include, with: directives + "\n" + include), to: name)
    }

    /// Its first process, which keeps the others; nil when it does not run.
    public var pid: Int32? { process.withLock { $0 }?.pid }

    /// Its base URL, without a trailing slash.
    public var url: String { "http://127.0.0.1:\(port)" }

    /// Its file that names the engine; only with an engine.
    public var upstreamFile: String { directory.path + "/conf.d/provider-upstream.conf" }

    /// Writes another engine into that file; nginx itself goes on as it began.
    public func nameEngine(_ address: String) throws {
        try directory.write(
            "upstream provider_engine { server \(address); }\n", to: "conf.d/provider-upstream.conf")
    }

    /// What it has written to its access log so far.
    public var accessLog: String { log("access.log") }

    /// What it has written to its error log so far.
    public var errorLog: String { log("error.log") }

    /// The text of another of its logs, named by its path in the prefix.
    public func log(_ name: String) -> String {
        String(decoding: FileManager.default.contents(atPath: directory.path + "/" + name) ?? Data(), as: UTF8.self)
    }

    /// Ends it at once, open connections included; letting go of the object does the same.
    public func stop() async throws {
        guard let process = process.withLock({ $0 }) else { return }
        process.terminate()
        try await process.waitForExit()
    }

    /// The same for code that blocks its own thread.
    public func stopAndWait() throws {
        guard let process = process.withLock({ $0 }) else { return }
        process.terminate()
        try waitUntil("nginx has ended") { process.ended != nil }
    }

    /// Makes nginx read its configuration again: new processes take over, the old ones finish their requests.
    ///
    /// Blocks until there is a new process and no old one has the listening socket. Linux wakes one process for each
    /// connection (EPOLLEXCLUSIVE); a connection that wakes an old process waits until the next connection comes.
    public func reload() throws {
        guard let process = process.withLock({ $0 }) else { return }
        let before = Set(Vitals.children(of: process.pid))
        let listener = self.listener.withLock { $0 }
        process.send(signal: SIGHUP)
        try waitUntil("nginx has been reloaded") { !before.isSuperset(of: Vitals.children(of: process.pid)) }
        try waitUntil("the old processes have closed the listening socket") {
            before.allSatisfy { !Vitals.sockets(of: $0).contains(listener) }
        }
    }
}
