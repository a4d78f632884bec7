import Glibc

/// The API key where it has a file to itself: the one the configuration names, else systemd's credential, else the file
/// from which the units make that credential.
extension ConfigurationLoader {
    /// Name of the credential, as the units' `LoadCredential=` has it.
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

    /// Takes the credential that systemd hands over (systemd.exec(5), CREDENTIALS) when nothing else gives a key.
    ///
    /// An empty one is none: the units fall back on it where there is no key. No warning about its mode: systemd
    /// keeps the directory to the service's user.
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

    /// Takes the key of the default file when nothing else gives one and systemd hands over no credentials: a program that
    /// is started by hand then has the key that the units have.
    ///
    /// Only a process that may read the file takes it, which is root's as a rule. Any other goes on without a key, and
    /// `missingKey` names the file.
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
            guard [EACCES, EPERM].contains(error.code) else { throw reading.refuse("cannot be read: \(error.reason)") }
            missingKey = MissingKey.advice(reading: path, error.reason)
            return
        }
        guard let secret = try reading.key(in: file) else { return }
        configuration.provider.apiKeyFile = path
        configuration.provider.apiKey = secret
        missingKey = nil
    }

    private mutating func warnOfReaders(_ path: String, mode: String) {
        let name = Found.printable(path)
        // systemd reads the file of mode 600 as root; the service itself reads the other.
        let group = mode == "640" ? ", with the service's group" : ""
        warnings.append("\(name): holds provider.api_key and every user can read it; run chmod \(mode) \(name)\(group)")
    }

    /// Needs no right to read the file. An empty one holds no key.
    private static func isReadableByOthers(_ path: String) -> Bool {
        var information = stat()
        guard unsafe stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return false }
        return information.st_mode & S_IROTH != 0 && information.st_size > 0
    }
}

/// What one file holds, and the words when that is no key.
private struct KeyReading {
    /// Far above any real key.
    static let sizeLimit = 8192

    let place: String
    let path: String

    func refuse(_ problem: String) -> ConfigurationError {
        ConfigurationError(place, "provider.api_key_file", "\(Found.printable(path)): \(problem)")
    }

    /// The file; nil for one that may be missing and is.
    func file(mayBeMissing: Bool) throws(ConfigurationError) -> BoundedFile? {
        do throws(UnreadableFile) {
            return try BoundedFile(path, limit: Self.sizeLimit)
        } catch {
            if error.isMissing && mayBeMissing { return nil }
            throw refuse("cannot be read: \(error.reason)")
        }
    }

    /// The key; nil in an empty file.
    func key(in file: BoundedFile) throws(ConfigurationError) -> Secret? {
        // Editors and echo end a line; a blank at the end is never meant.
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
