import Foundation

/// A real nginx with the repository's configuration, unprivileged, in a directory of its own.
public final class NginxServer: Sendable {
    /// Where it listens on 127.0.0.1.
    public let port: Int
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    /// Starts it with the site; it accepts connections when this returns.
    ///
    /// - Parameters:
    ///   - workerSocket: the worker's Unix socket; need not exist yet.
    ///   - engine: address and port for the files of `ollama.forward: nginx`; nil leaves those out.
    ///   - limitsClients: whether the limits for each client are as shipped. Tests ask hundreds of times a second from one
    ///     address, which they are there to stop.
    ///   - extraServerDirectives: put into the server block, for example a location of the test's own.
    ///   - replacements: shipped directives and what a test has in their place, such as a shorter time.
    /// - Throws: with nginx's own words when it refuses its configuration.
    public convenience init(
        workerSocket: String, engine: String? = nil, limitsClients: Bool = false, extraServerDirectives: String = "",
        replacing replacements: [(String, String)] = []
    ) async throws {
        let socket = try ListeningSocket()
        let directory = try await Self.prefix(port: socket.port, workerSocket: workerSocket, engine: engine)
        var replacements = replacements
        if !limitsClients { replacements += Self.clientLimits.map { ($0, "") } }
        for (shipped, other) in replacements { try Self.replace(shipped, by: other, in: directory) }
        if !extraServerDirectives.isEmpty { try Self.extend(directory, with: extraServerDirectives) }
        try await self.init(directory, on: socket)
    }

    /// Starts it with whatever configuration is in a prefix.
    ///
    /// - Parameter socket: what it listens on, as nginx.conf says as well. It takes it over as it does from an older nginx
    ///   that it replaces: $NGINX names the descriptor.
    /// - Throws: with nginx's own words when it refuses its configuration.
    public init(_ prefix: TemporaryDirectory, on socket: ListeningSocket) async throws {
        port = socket.port
        directory = prefix
        var environment = ProcessInfo.processInfo.environment
        environment["NGINX"] = "\(STDIN_FILENO);"
        process = try withExtendedLifetime(socket) { [directory] in
            try ChildProcess(
                Self.executable, Self.arguments(directory), environment: environment, standardInput: socket.descriptor)
        }
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
    public static func prefix(port: Int, workerSocket: String, engine: String? = nil) async throws -> TemporaryDirectory
    {
        let directory = try TemporaryDirectory()
        let script = try ChildProcess(
            Repository.root + "/scripts/nginx-prefix",
            [directory.path, String(port), workerSocket] + [engine].compactMap { $0 })
        guard try await script.waitForExit() == .status(0) else {
            throw NeverHappened(description: "scripts/nginx-prefix failed:\n\(script.standardError)")
        }
        return directory
    }

    /// The command line for such a prefix.
    public static func arguments(_ prefix: TemporaryDirectory) -> [String] {
        ["-e", "stderr", "-p", prefix.path, "-c", prefix.path + "/nginx.conf"]
    }

    private static let clientLimits = [
        "limit_req zone=provider_client_requests burst=200 nodelay;", "limit_conn provider_client_connections 256;",
    ]

    private static func replace(_ shipped: String, by other: String, in prefix: TemporaryDirectory) throws {
        var isFound = false
        for name in [
            "sites-enabled/provider.conf", "snippets/provider-locations.conf", "snippets/provider-handoff.conf",
        ] {
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
        let include = "    include snippets/provider-locations.conf;\n"
        let file = try String(contentsOfFile: prefix.path + "/" + name, encoding: .utf8)
        try prefix.write(file.replacingOccurrences(of: include, with: directives + "\n" + include), to: name)
    }

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

    private func log(_ name: String) -> String {
        String(decoding: FileManager.default.contents(atPath: directory.path + "/" + name) ?? Data(), as: UTF8.self)
    }

    /// Ends it at once, open connections included; letting go of the object does the same.
    public func stop() async throws {
        process.terminate()
        try await process.waitForExit()
    }
}
