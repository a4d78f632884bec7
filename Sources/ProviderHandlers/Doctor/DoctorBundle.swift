import Glibc

/// What a maintainer needs to see of a machine, in one file, without secrets and identifiers.
///
/// It is collected while doctor looks at the machine, and is put together in memory.
public final class DoctorBundle: Sendable {
    /// Why there is no bundle; one line.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String

        fileprivate init(_ description: String) { self.description = description }
    }

    /// The file, until it is whole; "" where there is none. The lock is held while the file is made and removed, which blocks
    /// while a file server hangs.
    private static let unfinished = Locked("")
    /// This process ends: no bundle may be left. The lock is never held for long.
    private static let isStopping = Locked(false)
    private static let folder = "provider-doctor"
    /// For all programs together, which run at once.
    private static let limit = Duration.seconds(8)
    private static let fileLimit = Duration.seconds(3)
    /// Doctor ends within 30 s. Its looks take 28 s at most, and an unfinished file has to be removed.
    private static let wholeLimit = Duration.seconds(29)

    public let path: String
    private let descriptor: CInt
    private let deadline: ContinuousClock.Instant
    private let collected: ContinuousClock.Instant
    private let gpu: Pending<String>
    private let logs: [Pending<String>]
    private let versions: Pending<String>
    private let status: Pending<String?>

    /// Makes the file, which only this user can read, and begins to collect. To be called when doctor starts.
    ///
    /// - Throws: where a file is there already, or cannot be made.
    public init(at path: String) throws(Failure) {
        let start = ContinuousClock.now
        let made = Pending { Self.make(path) }
        guard let result = made.value(until: start + Self.fileLimit) else {
            Self.stop()
            throw Failure("\(ForeignText.printable(path)) cannot be made within 3 s")
        }
        descriptor = try result.get()
        self.path = path
        deadline = start + Self.wholeLimit
        collected = .now + Self.limit
        gpu = Pending {
            Redaction.gpuDocument(
                Self.text(OtherProgram.run("nvidia-smi", ["-q", "-x"], limit: .seconds(6), hasErrors: true)))
        }
        // Separately: a busy worker's lines would leave no room for the reporter's.
        logs = ["provider-reporter", "provider-fcgi"].map { program in
            Pending {
                Redaction.log(
                    Self.text(
                        OtherProgram.run(
                            "journalctl", ["-t", program, "-n", "500", "--no-pager", "--output=short-iso"],
                            limit: .seconds(6))))
            }
        }
        versions = Pending { Self.versions }
        let http = HTTPClient(proxied: false)
        status = Pending {
            guard case .success(let response) = SiteReply.fetch(Doctor.statusURL, http, .seconds(3)),
                response.head.status == 200
            else { return nil }
            return Redaction.json(String(decoding: response.body, as: UTF8.self))
        }
    }

    /// Writes the file; returns within 30 s of the start.
    ///
    /// - Returns: the names of its contents, in order.
    /// - Throws: where it cannot be written. The file is then removed.
    public func write(_ result: Doctor.Result) throws(Failure) -> [String] {
        let files = contents(result)
        let bytes = Archive.tarGz(files, time: Int(UnixTime.milliseconds / 1000))
        let written = Pending { [self] in finish(bytes) }
        guard let result = written.value(until: deadline) else {
            Self.stop()
            let removal = Pending { Self.removeUnfinished() }
            _ = removal.value(until: .now + .milliseconds(500))
            throw Failure("\(ForeignText.printable(path)) cannot be written in time")
        }
        try result.get()
        return files.map(\.name)
    }

    /// Lets no bundle be finished from now on. Never blocks.
    static func stop() { isStopping.withLock { $0 = true } }

    /// Removes a file that is not whole, after `stop`.
    static func removeUnfinished() {
        unfinished.withLock { path in
            if !path.isEmpty { unsafe unlink(path) }
            path = ""
        }
    }

    // MARK: The file

    private static func make(_ path: String) -> Result<CInt, Failure> {
        unfinished.withLock { unfinished in
            let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                return .failure(Failure("\(ForeignText.printable(path)) cannot be made: \(systemError(errno))"))
            }
            // open(2) may have hung.
            guard !isStopping.withLock({ $0 }) else {
                unsafe unlink(path)
                close(descriptor)
                return .failure(stopping)
            }
            unfinished = path
            return .success(descriptor)
        }
    }

    private func finish(_ bytes: [UInt8]) -> Result<Void, Failure> {
        var code = Descriptor.write(bytes, to: descriptor)
        // A file server may tell of a full disk at the end alone.
        if close(descriptor) != 0 && code == 0 { code = errno }
        return Self.unfinished.withLock { unfinished in
            let isStopping = Self.isStopping.withLock { $0 }
            if code != 0 || isStopping { unsafe unlink(path) }
            unfinished = ""
            if isStopping { return .failure(Self.stopping) }
            return code == 0
                ? .success(())
                : .failure(Failure("\(ForeignText.printable(path)) cannot be written: \(systemError(code))"))
        }
    }

    private static let stopping = Failure("this process is stopping")

    // MARK: The contents

    private func contents(_ result: Doctor.Result) -> [(name: String, text: String)] {
        func value(_ pending: Pending<String>) -> String { pending.value(until: collected) ?? "no result in time\n" }

        var files = [("doctor.json", Redaction.json(result.report.json) + "\n")]
        files.append(("versions.txt", value(versions)))
        if let loaded = result.loaded {
            files.append(("configuration.yaml", Redaction.configuration(loaded.configuration)))
        }
        files.append(("log.txt", logs.map(value).joined()))
        files.append(("nvidia-smi.xml", value(gpu)))
        if case let status?? = status.value(until: collected) { files.append(("status.json", status)) }
        return files.map { ("\(Self.folder)/\($0)", $1) }
    }

    private static func text(_ outcome: OtherProgram.Outcome) -> String {
        switch outcome {
        case .missing: "not installed\n"
        case .failed(let reason): reason + "\n"
        case .output(let bytes): String(decoding: bytes, as: UTF8.self)
        }
    }

    private static var versions: String {
        let programs: [(name: String, arguments: [String])] = [
            ("uname", ["-srm"]), ("nginx", ["-v"]), ("ollama", ["--version"]), ("systemctl", ["--version"]),
        ]
        let looks = programs.map { program in
            Pending { text(OtherProgram.run(program.name, program.arguments, limit: .seconds(4))) }
        }
        let deadline = ContinuousClock.now + .seconds(5)
        var lines = ["provider-client \(providerClientVersion)"]
        for (program, look) in zip(programs, looks) {
            let output = look.value(until: deadline) ?? "no result in time"
            lines.append("\(program.name): \(output.split(separator: "\n").first.map(String.init) ?? "")")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
