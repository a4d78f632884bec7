import ArgumentParser
import Glibc
import ProviderHandlers

/// The worker's command line.
@main
struct ProviderFCGI: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider-fcgi",
        abstract: "Serves a local inference engine to nginx over FastCGI, with GPU admission and HMAC validation.",
        discussion: """
            Listens on descriptor 0 when that is a listening socket (systemd, spawn-fcgi), else on server.socket, else \
            on server.host and server.port. SIGTERM lets requests in flight finish; a second one cuts them. SIGHUP reads \
            the configuration again.

            Exit status: 0 stopped, 1 requests were cut, 64 command line, 71 the socket broke, 73 cannot listen, 74 \
            standard output cannot be written, 78 configuration error.
            """,
        version: providerClientVersion)

    @Option(
        name: .long, help: "Configuration file [$PROVIDER_CONFIG, else /etc/provider-client/config.yaml].",
        completion: .file())
    var config: String?

    @Flag(name: .long, help: "Check the configuration and exit.")
    var checkConfig = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With ollama.forward nginx: nginx's file that names the engine [\(NginxUpstream.defaultPath)].",
            valueName: "path"))
    var nginxUpstream: String?

    /// The worker starts itself so: see `NVMLProbe`. The value is the time between two reads in milliseconds.
    @Option(name: .long, help: ArgumentHelp(visibility: .hidden))
    var nvmlProbe: Int?

    static func main() {
        Program.checkOutput(program: "provider-fcgi")
        main(nil)
    }

    func run() throws {
        Program.forbidCoreFiles()
        Program.forbidCrashReports()
        // Before anything else: this process has neither configuration nor signal handlers.
        if let nvmlProbe { throw ExitCode(NVMLProbe.run(interval: nvmlProbe)) }
        // A SIGHUP that comes while the worker starts would otherwise end it.
        if !checkConfig { Signals.hold([.reload]) }
        let source = WorkerConfigurationSource(
            ConfigurationSource(path: config, environment: Program.environment), nginxUpstream: nginxUpstream)
        let loaded: LoadedConfiguration
        do throws(ConfigurationError) {
            loaded = try source.load()
        } catch {
            throw failure("\(error)", ConfigurationError.exitStatus)
        }
        if checkConfig {
            for warning in loaded.warnings { Program.complain("warning: \(warning)", program: "provider-fcgi") }
            print("\(loaded.source): OK")
            return
        }
        // Before any other thread exists: threads inherit the mask.
        Signals.hold([.stop, .reload])
        WorkerThreads.prepare()
        // A connection that nginx has closed shows as EPIPE. Set before FCGX_Init, which otherwise installs a handler that stops
        // all of libfcgi's input and output.
        signal(SIGPIPE, SIG_IGN)
        ProcessResources.raiseDescriptorLimit()
        ProcessResources.returnLargeBlocks()
        let status: CInt
        do throws(ListenError) {
            var worker = try Worker(loaded, from: source)
            status = try worker.run()
        } catch {
            throw failure("\(error)", ListenError.exitStatus)
        }
        // Threads of cut requests may still be inside a library, and its clean-up at exit would crash them.
        if status != 0 { _exit(status) }
    }

    private func failure(_ message: String, _ status: CInt) -> ExitCode {
        Program.complain(message, program: "provider-fcgi")
        return ExitCode(status)
    }
}
