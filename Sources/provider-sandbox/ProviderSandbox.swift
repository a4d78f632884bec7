import ArgumentParser
import Foundation

/// The sandbox's command line.
@main
struct ProviderSandbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider-sandbox",
        abstract: "Imitates Ollama's API and the central system, for trying the provider client without either.",
        discussion: """
            Listens on 127.0.0.1 only. Once ready it prints one line, with a field for each part that it serves:

              ready engine=http://127.0.0.1:PORT central=http://127.0.0.1:PORT

            The engine responds to every prompt with the same words. The central system accepts the key in $PROVIDER_API_KEY, or any \
            key when the variable is not set, and returns its last report at GET /sandbox/report.
            """)

    /// A service that the sandbox imitates.
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case engine, central
    }

    @Option(name: .long, help: "Serve only this part: engine or central; may be repeated.")
    var serve: [Part] = Part.allCases

    @Option(name: .long, help: "Port of the engine; 0 lets the kernel choose.")
    var enginePort: UInt16 = 0

    @Option(name: .long, help: "Port of the central system; 0 lets the kernel choose.")
    var centralPort: UInt16 = 0

    @Option(name: .long, help: "A model the engine has; may be repeated.")
    var model: [String] = ["sandbox:latest"]

    @Option(name: .long, help: "Tokens in a response that the request does not limit.")
    var tokens: Int = Completion.words.count

    @Option(name: .long, help: ArgumentHelp("Seconds before each token.", valueName: "seconds"))
    var tokenDelay: Double = 0.05

    @Option(
        name: .long,
        help: ArgumentHelp("Seconds before the response, for each 1,000 bytes of the request.", valueName: "seconds"))
    var promptDelay: Double = 0

    @Option(
        name: .long,
        help: ArgumentHelp("A file that gets a line for each completion of the engine.", valueName: "file"))
    var engineLog: String?

    @Option(name: .long, help: "Accept HMACs that start with this text.")
    var hmacPrefix: String = "sandbox-"

    func validate() throws {
        guard (1...1_000_000).contains(tokens) else { throw ValidationError("--tokens takes 1 to 1000000") }
        guard (0...3600).contains(tokenDelay) else { throw ValidationError("--token-delay takes 0 to 3600 seconds") }
        guard (0...3600).contains(promptDelay) else { throw ValidationError("--prompt-delay takes 0 to 3600 seconds") }
    }

    func run() async throws {
        // There is nothing to clean up. Set explicitly: a shell lets its background jobs ignore SIGINT.
        for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(0) } }
        var servers: [LocalServer] = []
        if serve.contains(.engine) {
            let engine = Engine(
                models: model, tokens: tokens, tokenDelay: .seconds(tokenDelay), promptDelay: .seconds(promptDelay),
                log: try engineLog.map(EngineLog.init))
            servers.append(LocalServer("engine", port: enginePort) { await engine.respond(to: $0) })
        }
        if serve.contains(.central) {
            let key = ProcessInfo.processInfo.environment["PROVIDER_API_KEY"] ?? ""
            let central = Central(key: key, hmacPrefix: hmacPrefix)
            servers.append(LocalServer("central", port: centralPort) { await central.respond(to: $0) })
        }
        try await Self.serve(servers)
    }

    private static func serve(_ servers: [LocalServer]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for server in servers { group.addTask { try await server.run() } }
            group.addTask {
                var line = "ready"
                for server in servers { line += try await " \(server.name)=\(server.url())" }
                try FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
            }
            // Throws the first error, which cancels the other tasks; waitForAll would wait for them.
            for try await _ in group {}
        }
    }
}
