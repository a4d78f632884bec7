/// What an operator does about the API key; messages of both programs say the same.
enum MissingKey {
    /// For a machine on which no key was ever written.
    static func advice(writing path: String = Configuration.defaultKeyFile) -> String {
        let name = Found.printable(path)
        return """
            no API key is set: write it into \(name) with `install -D -m 600 /dev/stdin \(name)` (type the key, Enter, Ctrl-D) and \
            restart the workers (systemctl start provider-fcgi-rolling-restart), or set provider.api_key_file
            """
    }

    /// For a process that may not read the file.
    static func advice(reading path: String, _ reason: String) -> String {
        """
        no API key is set, and \(Found.printable(path)) cannot be read: \(reason); run this as root or as the service, or \
        set provider.api_key_file
        """
    }
}

extension Configuration.Provider {
    /// What to do when the central system refuses us; never says the key itself.
    var keyAdvice: String {
        if apiKey.isEmpty { return MissingKey.advice() }
        if apiKeyFile.isEmpty { return "check provider.api_key" }
        // systemd's copy of the credential; the file that an operator writes is another.
        let isCredential = apiKeyFile.hasPrefix("/run/credentials/")
        return "check the API key in \(Found.printable(isCredential ? Configuration.defaultKeyFile : apiKeyFile))"
    }
}
