import Glibc

/// The configuration file: found, read and parsed.
struct ConfigurationFile {
    /// Far above any real configuration, far below what could hurt.
    static let sizeLimit = 1_048_576

    /// The path, fit for a message.
    let name: String
    /// The whole document; nil when the file says nothing.
    let root: YAMLNode?
    let isReadableByOthers: Bool

    /// Finds the file: the command line's, else the environment's, else the default one.
    ///
    /// - Returns: nil when nobody names a file and the default one is missing.
    init?(path: String?, environment: [String: String], defaultPath: String) throws(ConfigurationError) {
        guard path != "" else { throw ConfigurationError("--config", nil, #"expected the path of a file, found """#) }
        // An empty variable names nothing, as in most programs.
        let variable = environment["PROVIDER_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let isNamed = path != nil || variable != nil
        let chosen = path ?? variable ?? defaultPath
        let name = Found.printable(chosen)
        self.name = name
        let file: BoundedFile
        do throws(UnreadableFile) {
            file = try BoundedFile(chosen, limit: Self.sizeLimit)
        } catch {
            // A link that leads nowhere was put there by somebody who wanted a configuration.
            if error.isMissing && !isNamed && !Self.isLink(chosen) { return nil }
            let origin = path == nil && variable != nil ? " (named by PROVIDER_CONFIG)" : ""
            throw ConfigurationError(name, nil, "cannot be read: \(error.reason)\(origin)")
        }
        isReadableByOthers = file.isReadableByOthers
        do throws(YAMLError) {
            root = try YAMLNode.document(in: file.bytes)
        } catch {
            throw ConfigurationError(error.line.map { "\(name):\($0)" } ?? name, error.key, error.problem)
        }
    }

    private static func isLink(_ path: String) -> Bool {
        var information = stat()
        return unsafe lstat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFLNK
    }
}
