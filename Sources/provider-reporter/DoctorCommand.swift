import ArgumentParser
import Glibc
import ProviderHandlers

/// `provider-reporter doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Looks at everything between the GPU and the public URL, and says what is wrong and how to mend it.",
        discussion: """
            Mends nothing and sends no report. Ends within 30 s. Run it as root to see all.

            Exit status: 0 nothing failed, 1 a check failed, 64 command line, 73 the bundle cannot be written, 74 \
            standard output cannot be written, 78 configuration error.
            """)

    @ParentCommand var reporter: ProviderReporter

    @Option(
        name: .long, help: "Configuration file [$PROVIDER_CONFIG, else /etc/provider-client/config.yaml].",
        completion: .file())
    var config: String?

    @Option(name: .long, help: ArgumentHelp("Base URL of nginx's site.", valueName: "url"))
    var site = Doctor.defaultSite

    @Flag(name: .long, help: "Also ask the engine for one token, and send nginx a large body.")
    var probe = false

    @Flag(name: .long, help: "Print JSON.")
    var json = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write what a maintainer needs, without secrets, to this new file (tar.gz), and list it.",
            valueName: "file.tar.gz"),
        completion: .file())
    var bundle: String?

    func run() throws {
        Program.forbidCoreFiles()
        Program.forbidCrashReports()
        signal(SIGPIPE, SIG_IGN)
        if reporter.dryRun || reporter.every != nil {
            throw ValidationError("doctor does not go together with --dry-run and --every")
        }
        let source = ConfigurationSource(path: config ?? reporter.config, environment: Program.environment)
        let doctor: Doctor
        do throws(ConfigurationError) {
            doctor = try Doctor(source, site: site, probes: probe)
        } catch {
            throw ValidationError("\(error)")
        }
        let progress = ProgressLine()
        Signals.clean {
            progress.end()
            Doctor.abandon()
            // Last: a terminal whose output is stopped holds this thread.
            progress.eraseLast()
        }
        let bundle = try bundle.map { path in try makeBundle(at: path, progress) }
        let result = doctor.examine { progress.show("looking at: \($0) …") }
        progress.clear()
        print(json ? result.report.json : result.report.text(isColored: Self.mayColor))
        if let bundle { try write(bundle, result, progress) }
        if result.report.exitStatus != 0 { throw ExitCode(result.report.exitStatus) }
    }

    private func makeBundle(at path: String, _ progress: ProgressLine) throws -> DoctorBundle {
        do throws(DoctorBundle.Failure) {
            return try DoctorBundle(at: path)
        } catch {
            throw failure(error, progress)
        }
    }

    private func write(_ bundle: DoctorBundle, _ result: Doctor.Result, _ progress: ProgressLine) throws {
        progress.show("collecting …")
        do throws(DoctorBundle.Failure) {
            let contents = try bundle.write(result)
            progress.clear()
            // Standard output is one JSON value with --json.
            let list = (["\(bundle.path):"] + contents.map { "  \($0)" }).joined(separator: "\n")
            if json { Program.complain(list, program: "provider-reporter") } else { print(list) }
        } catch {
            throw failure(error, progress)
        }
    }

    private func failure(_ cause: DoctorBundle.Failure, _ progress: ProgressLine) -> ExitCode {
        progress.clear()
        Program.complain("\(cause)", program: "provider-reporter")
        return ExitCode(EX_CANTCREAT)
    }

    private static var mayColor: Bool {
        let environment = Program.environment
        return isatty(STDOUT_FILENO) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }
}
