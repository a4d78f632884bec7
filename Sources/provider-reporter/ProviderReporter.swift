import ArgumentParser
import Glibc
import Logging
import ProviderHandlers

/// The reporter's command line.
@main
struct ProviderReporter: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider-reporter",
        abstract: "Reports this machine's GPUs, models and public URL to the central system, once or at an interval.",
        usage: """
            provider-reporter [--config <config>] [--dry-run] [--every <seconds>]
            provider-reporter doctor [<options>]
            """,
        discussion: """
            Without the engine's list of models nothing is sent: the engine is asked again until provider.report_timeout.

            Exit status: 0 delivered, 64 command line, 74 standard output cannot be written, 75 not sent or not delivered \
            this time, 77 refused, 78 configuration error (a missing API key included).
            """,
        version: providerClientVersion,
        subcommands: [DoctorCommand.self])

    @Option(
        name: .long, help: "Configuration file [$PROVIDER_CONFIG, else /etc/provider-client/config.yaml].",
        completion: .file())
    var config: String?

    @Flag(name: .long, help: "Print the report, say whether it would be sent, and send nothing.")
    var dryRun = false

    @Option(
        name: .long,
        help: ArgumentHelp("Report again after this many seconds, until SIGTERM.", valueName: "seconds"))
    var every: Double?

    static func main() {
        Program.checkOutput(program: "provider-reporter")
        main(nil)
    }

    func validate() throws {
        guard let every else { return }
        if dryRun { throw ValidationError("--every and --dry-run exclude each other") }
        if !(1...86_400).contains(every) { throw ValidationError("--every takes 1 to 86400 seconds") }
    }

    func run() throws {
        Program.forbidCoreFiles()
        Program.forbidCrashReports()
        // A connection that the central system has closed is an error of the transfer, not the end of the process: OpenSSL
        // writes without MSG_NOSIGNAL.
        signal(SIGPIPE, SIG_IGN)
        let loaded: LoadedConfiguration
        do throws(ConfigurationError) {
            loaded = try Configuration.load(path: config, environment: Program.environment)
        } catch {
            throw failure("\(error)")
        }
        let configuration = loaded.configuration
        let logger = Logger.standardError("provider-reporter", LogSettings(configuration.log))
        for warning in loaded.warnings { logger.warning("\(warning)") }
        let reporter = Reporter(loaded, logger: logger)
        if dryRun {
            let preview = reporter.preview()
            print(String(decoding: preview.report, as: UTF8.self))
            if let obstacle = preview.obstacle {
                Program.complain("this report would not be sent: \(obstacle)", program: "provider-reporter")
            }
            return
        }
        if let missingKey = loaded.missingKey { throw failure("\(loaded.source): provider.api_key: \(missingKey)") }
        guard let every else { throw ExitCode(reporter.run().rawValue) }
        try endWhenSignalled(reporter)
        let clock = ContinuousClock()
        var next = clock.now
        while true {
            _ = reporter.run(interval: every)
            // A run that takes longer than the interval skips reports; the later ones keep their times.
            repeat { next += .seconds(every) } while next < clock.now
            poll(nil, 0, (next - clock.now).pollMilliseconds)
        }
    }

    /// From now on SIGTERM and SIGINT end the process, with status 0, and what the reporter has started with it.
    private func endWhenSignalled(_ reporter: Reporter) throws {
        // Before any other thread exists: threads inherit the mask.
        Signals.hold([.stop])
        do throws(Threads.Shortage) {
            try Threads.start {
                _ = Signals.wait(for: [.stop])
                reporter.stop()
                _exit(0)
            }
        } catch {
            throw failure("cannot start a thread: \(systemError(error.code))")
        }
    }

    private func failure(_ message: String) -> ExitCode {
        Program.complain(message, program: "provider-reporter")
        return ExitCode(ConfigurationError.exitStatus)
    }
}
