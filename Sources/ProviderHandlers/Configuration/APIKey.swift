import Glibc

/// A value that no log, error message or debugger description ever prints.
public struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    public init(_ value: String) {
        self.value = value
    }

    public var isEmpty: Bool { value.isEmpty }

    /// The value itself, for the request header alone.
    public func reveal() -> String { value }

    public var description: String { "<redacted>" }
    public var debugDescription: String { "<redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The API key in its own file: the file that the configuration names, else systemd's credential, else the file that the
/// credential is made from.
extension ConfigurationLoader {
    /// Name of the credential in the units' `LoadCredential=`.
    private static let credential = "api_key"

    /// Reads the API key from the file that holds it, if there is one.
    mutating func readKeyFile() throws(ConfigurationError) {
        let path = configuration.provider.apiKeyFile
        guard !path.isEmpty else { return }
        let reading = KeyReading(place: places["provider.api_key_file"] ?? "", path: path)
        guard let file = try reading.file(mayBeMissing: false), let secret = try reading.key(in: file) else {
            throw reading.refuse("expected a key, found an empty file")
        }
        configuration.provider.apiKey = secret
        if file.isReadableByOthers { warnOfReaders(path, mode: "640") }
    }

    /// Takes systemd's credential (systemd.exec(5), CREDENTIALS) when there is no other key.
    ///
    /// An empty credential is no key: the units pass it where there is no key. Its mode needs no warning: only the service's
    /// user can reach the directory.
    mutating func readCredential(_ environment: [String: String]) throws(ConfigurationError) {
        guard configuration.provider.apiKey.isEmpty, configuration.provider.apiKeyFile.isEmpty,
            let directory = environment["CREDENTIALS_DIRECTORY"], directory.hasPrefix("/")
        else { return }
        let path = directory + "/" + Self.credential
        let reading = KeyReading(place: "systemd credential \(Self.credential)", path: path)
        guard let file = try reading.file(mayBeMissing: true), let secret = try reading.key(in: file) else { return }
        configuration.provider.apiKeyFile = path
        configuration.provider.apiKey = secret
    }

    /// Takes the key of the default file when there is no other key and systemd passes no credentials. A program started by
    /// hand then has the key of the units.
    ///
    /// As a rule only root may read the file. Any other process goes on without a key, and `missingKey` names the file.
    mutating func readDefaultKeyFile(
        _ path: String, _ environment: [String: String]
    ) throws(ConfigurationError) {
        // Also the credential's source: systemd reads it with any mode.
        if Self.isReadableByOthers(path), configuration.provider.apiKeyFile != path {
            warnOfReaders(path, mode: "600")
        }
        guard configuration.provider.apiKey.isEmpty else { return }
        missingKey = MissingKey.advice(writing: path)
        guard environment["CREDENTIALS_DIRECTORY"]?.isEmpty != false else { return }
        let file: BoundedFile
        let reading = KeyReading(place: "default key file", path: path)
        do throws(UnreadableFile) {
            file = try BoundedFile(path, limit: KeyReading.sizeLimit)
        } catch {
            if error.isMissing { return }
            guard error.isForbidden else { throw reading.refuse("cannot be read: \(error.reason)") }
            missingKey = MissingKey.advice(reading: path, error.reason)
            return
        }
        guard let secret = try reading.key(in: file) else { return }
        configuration.provider.apiKeyFile = path
        configuration.provider.apiKey = secret
        missingKey = nil
    }

    private mutating func warnOfReaders(_ path: String, mode: String) {
        let name = ForeignText.printable(path)
        // systemd reads the file of mode 600 as root; the service itself reads the other.
        let group = mode == "640" ? ", with the service's group" : ""
        warnings.append("\(name): holds provider.api_key and every user can read it; run chmod \(mode) \(name)\(group)")
    }

    /// Works without permission to read the file. An empty file holds no key.
    private static func isReadableByOthers(_ path: String) -> Bool {
        var information = stat()
        guard unsafe stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return false }
        return information.st_mode & S_IROTH != 0 && information.st_size > 0
    }
}

/// Reads one key file, and words its problems.
private struct KeyReading {
    /// Far above any real key.
    static let sizeLimit = 8192

    let place: String
    let path: String

    func refuse(_ problem: String, needsRights: Bool = false) -> ConfigurationError {
        ConfigurationError(
            place, "provider.api_key_file", "\(ForeignText.printable(path)): \(problem)", needsRights: needsRights)
    }

    /// The file; nil when it is missing and may be.
    func file(mayBeMissing: Bool) throws(ConfigurationError) -> BoundedFile? {
        do throws(UnreadableFile) {
            return try BoundedFile(path, limit: Self.sizeLimit)
        } catch {
            if error.isMissing && mayBeMissing { return nil }
            throw refuse("cannot be read: \(error.reason)", needsRights: error.isForbidden)
        }
    }

    /// The key; nil in an empty file.
    func key(in file: BoundedFile) throws(ConfigurationError) -> Secret? {
        // Editors and echo add a newline; a blank at the end is never meant.
        let blanks = " \t\r\n".utf8
        var bytes = file.bytes
        while let last = bytes.last, blanks.contains(last) { bytes.removeLast() }
        guard !bytes.isEmpty else { return nil }
        let format = ValueFormat<Secret>.key
        guard let secret = format.parse(.text(String(decoding: bytes, as: UTF8.self), isQuoted: true)) else {
            throw refuse("expected one line of \(format.expectation), found something else")
        }
        return secret
    }
}

/// Advice on a missing API key, the same in both programs.
enum MissingKey {
    /// For a machine without a key file.
    static func advice(writing path: String = Configuration.defaultKeyFile) -> String {
        let name = ForeignText.printable(path)
        return """
            no API key is set: write it into \(name) with `install -D -m 600 /dev/stdin \(name)` (type the key, Enter, Ctrl-D) and \
            restart the workers (systemctl start provider-fcgi-rolling-restart), or set provider.api_key_file
            """
    }

    /// For a process without permission to read the file.
    static func advice(reading path: String, _ reason: String) -> String {
        """
        no API key is set, and \(ForeignText.printable(path)) cannot be read: \(reason); run this as root or as the service, or \
        set provider.api_key_file
        """
    }
}

extension Configuration.Provider {
    /// What to do when the central system refuses the key; never shows the key.
    var keyAdvice: String {
        if apiKey.isEmpty { return MissingKey.advice() }
        if apiKeyFile.isEmpty { return "check provider.api_key" }
        // systemd's copy. The operator writes the default file.
        let isCredential = apiKeyFile.hasPrefix("/run/credentials/")
        return "check the API key in \(ForeignText.printable(isCredential ? Configuration.defaultKeyFile : apiKeyFile))"
    }
}
