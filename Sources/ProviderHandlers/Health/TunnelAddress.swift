/// Where an ngrok tunnel leads: `8080`, `localhost:8080`, `http://localhost:8080/path`, `https://[::1]:8443`.
struct TunnelAddress: Equatable {
    /// Without brackets; empty where only a port is written, which ngrok takes for localhost.
    let host: String
    let port: Int

    /// - Returns: nil for anything that leads to no port over HTTP, such as a directory (`file:///…`).
    init?(_ text: String?) {
        guard let text else { return nil }
        if let port = Self.port(text[...]) {
            (host, self.port) = ("", port)
            return
        }
        var rest = text[...]
        var defaultPort = 80
        if let scheme = text.firstRange(of: "://") {
            switch text[..<scheme.lowerBound].lowercased() {
            case "http": break
            case "https": defaultPort = 443
            default: return nil
            }
            rest = text[scheme.upperBound...]
        }
        let authority = rest.prefix { !"/?#".contains($0) }
        let isBracketed = authority.hasPrefix("[")
        let end =
            isBracketed
            ? authority.firstIndex(of: "]") ?? authority.endIndex
            : authority.firstIndex(of: ":") ?? authority.endIndex
        host = String(authority[..<end].drop { $0 == "[" })
        let behind = authority[end...].drop { $0 == "]" }
        guard !behind.isEmpty else {
            guard !host.isEmpty else { return nil }
            port = defaultPort
            return
        }
        guard behind.hasPrefix(":"), let port = Self.port(behind.dropFirst()) else { return nil }
        self.port = port
    }

    /// Whether it leads to a port of this machine, as far as that can be read from what is written.
    ///
    /// Another host with that port is not known to be this machine's nginx.
    func leads(toPort port: Int) -> Bool {
        guard self.port == port else { return false }
        let name = host.lowercased()
        // Docker calls the machine that a container runs on so.
        return ["", "0.0.0.0", "::", "host.docker.internal"].contains(name) || name.hasSuffix(".localhost")
            || Loopback.contains(host)
    }

    private static func port(_ digits: Substring) -> Int? {
        guard !digits.isEmpty, digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
            let port = Int(digits), 1...65_535 ~= port
        else { return nil }
        return port
    }
}
