import Glibc

/// What a maintainer needs to see of a machine, in one file, without secrets and identifiers.
public struct DoctorBundle {
    /// Why there is no bundle; one line.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String

        fileprivate static let stopping = Self(description: "this process is stopping")
    }

    /// What exists while a bundle is made; empty where it does not.
    fileprivate struct Unfinished {
        var file = ""
        var folder = ""
        /// This process ends: nothing new may be made.
        var isClosed = false
    }

    /// The lock is held while a file or folder is made: nothing escapes `removeUnfinished`.
    fileprivate static let unfinished = Locked(Unfinished())
    private static let folder = "provider-doctor"
    /// For all programs together, which run at once.
    private static let limit = Duration.seconds(8)

    private let report: DoctorReport
    private let loaded: LoadedConfiguration?

    public init(_ result: Doctor.Result) {
        report = result.report
        loaded = result.loaded
    }

    /// Writes the file, which only this user can read.
    ///
    /// - Returns: the names of its contents, in order.
    /// - Throws: where a file is there already, or cannot be written.
    public func write(to path: String) throws(Failure) -> [String] {
        // Before anything is collected; tar would overwrite a file.
        try Self.unfinished.withLock { unfinished throws(Failure) in
            guard !unfinished.isClosed else { throw .stopping }
            let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else {
                throw Failure(description: "\(ForeignText.printable(path)) cannot be made: \(systemError(errno))")
            }
            close(descriptor)
            unfinished.file = path
        }
        defer { Self.unfinished.withLock { $0.file = "" } }
        do throws(Failure) {
            let directory = try TemporaryFolder()
            let files = contents
            for file in files { try directory.write(file.text, to: "\(Self.folder)/\(file.name)") }
            try pack(directory.path, into: path)
            return files.map { "\(Self.folder)/\($0.name)" }
        } catch {
            unsafe unlink(path)
            throw error
        }
    }

    /// Removes what `write` would remove at its end, for a process that ends before.
    static func removeUnfinished() {
        unfinished.withLock { unfinished in
            unfinished.isClosed = true
            if !unfinished.file.isEmpty { unsafe unlink(unfinished.file) }
            if !unfinished.folder.isEmpty { TemporaryFolder.remove(unfinished.folder) }
        }
    }

    private func pack(_ directory: String, into path: String) throws(Failure) {
        let file = path.hasPrefix("/") ? path : "./" + path
        switch OtherProgram.run(
            "tar",
            [
                "--create", "--gzip", "--file", file, "--force-local", "--owner=0", "--group=0", "--directory",
                directory, Self.folder,
            ], limit: .seconds(10))
        {
        case .missing: throw Failure(description: "tar is not installed")
        case .failed(let reason): throw Failure(description: "tar: \(reason)")
        case .output: break
        }
    }

    // MARK: The contents

    private var contents: [(name: String, text: String)] {
        let deadline = ContinuousClock.now + Self.limit
        let gpu = Pending {
            Self.text(OtherProgram.run("nvidia-smi", ["-q", "-x"], limit: .seconds(6), hasErrors: true))
        }
        // Separately: a busy worker's lines would leave no room for the reporter's.
        let logs = ["provider-reporter", "provider-fcgi"].map { program in
            Pending {
                Self.text(
                    OtherProgram.run(
                        "journalctl", ["-t", program, "-n", "500", "--no-pager", "--output=short-iso"],
                        limit: .seconds(6)))
            }
        }
        let versions = Pending { Self.versions }
        let http = HTTPClient(proxied: false)
        let status = Pending { SiteReply.fetch(Doctor.statusURL, http, .seconds(3)) }

        var files = [("doctor.json", Redaction.json(report.json) + "\n")]
        files.append(("versions.txt", versions.value(until: deadline) ?? "no result in time\n"))
        if let loaded { files.append(("configuration.yaml", Redaction.configuration(loaded.configuration))) }
        let log = logs.map { $0.value(until: deadline) ?? "no result in time\n" }.joined()
        files.append(("log.txt", Redaction.log(log)))
        files.append(("nvidia-smi.xml", Redaction.gpuDocument(gpu.value(until: deadline) ?? "no result in time\n")))
        if case .success(let response) = status.value(until: deadline), response.head.status == 200 {
            files.append(("status.json", Redaction.json(String(decoding: response.body, as: UTF8.self))))
        }
        return files
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

/// A new folder that only this user can read; removed with its owner.
private struct TemporaryFolder: ~Copyable {
    let path: String
    private var names: [String] = []

    init() throws(DoctorBundle.Failure) {
        path = try DoctorBundle.unfinished.withLock { unfinished throws(DoctorBundle.Failure) in
            guard !unfinished.isClosed else { throw .stopping }
            var template = Array("/tmp/provider-doctor-XXXXXX".utf8CString)
            guard unsafe mkdtemp(&template) != nil else {
                throw DoctorBundle.Failure(description: "no folder in /tmp: \(systemError(errno))")
            }
            unfinished.folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return unfinished.folder
        }
    }

    deinit {
        Self.remove(path)
        DoctorBundle.unfinished.withLock { $0.folder = "" }
    }

    /// Only the files that this program wrote, and their two folders.
    static func remove(_ path: String) {
        for folder in Directory.entries(of: path) where !folder.hasPrefix(".") {
            for name in Directory.entries(of: "\(path)/\(folder)") { unsafe unlink("\(path)/\(folder)/\(name)") }
            unsafe rmdir("\(path)/\(folder)")
        }
        unsafe rmdir(path)
    }

    func write(_ text: String, to name: String) throws(DoctorBundle.Failure) {
        let file = "\(path)/\(name)"
        if let slash = file.lastIndex(of: "/") { unsafe mkdir(String(file[..<slash]), 0o700) }
        let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw DoctorBundle.Failure(description: "\(name): \(systemError(errno))") }
        defer { close(descriptor) }
        let code = Descriptor.write(Array(text.utf8), to: descriptor)
        guard code == 0 else { throw DoctorBundle.Failure(description: "\(name): \(systemError(code))") }
    }
}
