/// The API key where it has a file to itself: the one the configuration names, else systemd's credential.
extension ConfigurationLoader {
    /// Name of the credential, as the units' `LoadCredential=` has it.
    private static let credential = "api_key"

    /// Reads the API key from the file that holds it, if there is one.
    mutating func readKeyFile() throws(ConfigurationError) {
        let path = configuration.provider.apiKeyFile
        guard !path.isEmpty else { return }
        let name = Found.printable(path)
        let reading = KeyReading(place: places["provider.api_key_file"] ?? "", path: path)
        guard let file = try reading.file(mayBeMissing: false), let secret = try reading.key(in: file) else {
            throw reading.refuse("expected a key, found an empty file")
        }
        configuration.provider.apiKey = secret
        if file.isReadableByOthers {
            warnings.append("\(name): holds provider.api_key and every user can read it; run chmod 640 \(name)")
        }
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
}

/// What one file holds, and the words when that is no key.
private struct KeyReading {
    /// Far above any real key.
    private static let sizeLimit = 8192

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
