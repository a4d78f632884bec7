/// Explains the 403 without a body with which Ollama refuses a request for its Host.
///
/// On a loopback listener Ollama takes localhost, addresses of its machine, the machine's name, and names that end in
/// .localhost, .local or .internal (Ollama's server/routes.go, allowedHostsMiddleware).
enum HostRefusal {
    /// What to tell the operator; nil for any other response.
    ///
    /// - Parameter url: the engine's, as `ollama.url` has it after validation.
    static func explanation(status: Int, isBodyEmpty: Bool, url: String) -> String? {
        guard status == 403, isBodyEmpty else { return nil }
        let authority = BaseURL.host(of: url)
        let words = "Ollama refuses the Host \(authority); use localhost or an address of its machine in ollama.url"
        // Ollama takes these hosts, so another program may have refused the request.
        return isAlwaysTaken(BaseURL.hostName(of: url)) ? "403 without a body, as when " + words : words
    }

    private static func isAlwaysTaken(_ host: String) -> Bool {
        let name = host.lowercased()
        return Loopback.contains(host) || [".localhost", ".local", ".internal"].contains { name.hasSuffix($0) }
    }
}
