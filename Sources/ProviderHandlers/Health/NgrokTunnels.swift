import FoundationEssentials

/// The tunnels of an ngrok agent: `GET /api/tunnels` lists each with `name`, `public_url` and `config.addr` (ngrok, "Agent
/// API"). A tunnel of an edge has labels and no `public_url`.
struct NgrokTunnels {
    private let entries: [Entry]

    /// A malformed entry does not affect the others.
    ///
    /// - Returns: nil for a body that is not a list of tunnels.
    init?(_ body: [UInt8]) {
        guard let response = try? JSONDecoder().decode(Response.self, from: Data(body)) else { return nil }
        entries = response.tunnels ?? []
    }

    /// The public URL of the tunnel that leads to this provider, or why it cannot be known.
    enum Choice: Equatable {
        case url(String)
        /// Completes "the agent …"; lists the agent's tunnels.
        case none(String)
    }

    /// - Parameters:
    ///   - name: the name of the tunnel; empty to find the tunnel.
    ///   - port: nginx's, which decides between several https tunnels.
    func choice(name: String, port: Int) -> Choice {
        guard name.isEmpty else { return named(name) }
        let secure = entries.filter { $0.httpsURL != nil }
        if let url = Self.onlyURL(secure) { return .url(url) }
        guard !secure.isEmpty else { return .none("has no https tunnel" + Self.listed(entries, before: ", only ")) }
        // This machine first. A container's name can be matched by the port alone.
        let onPort = secure.filter { TunnelAddress($0.address)?.port == port }
        let local = onPort.filter { TunnelAddress($0.address)?.leads(toPort: port) == true }
        let here = local.isEmpty ? onPort : local
        if let url = Self.onlyURL(here) { return .url(url) }
        let found = here.isEmpty ? "none leads" : "\(Self.names(here)) lead"
        return .none(
            """
            has \(secure.count) https tunnels, \(Self.names(secure)), and \(found) to port \(port): \
            set ngrok.tunnel to a name, or ngrok.port to nginx's port
            """)
    }

    private func named(_ name: String) -> Choice {
        let meant = entries.filter { $0.name == name }
        let shown = "\"\(ForeignText.short(name))\" (ngrok.tunnel)"
        guard !meant.isEmpty else {
            return .none("has no tunnel \(shown)" + Self.listed(entries, before: ", only "))
        }
        if let url = Self.onlyURL(meant) { return .url(url) }
        let isSecure = meant.contains { $0.httpsURL != nil }
        return .none(isSecure ? "has several https tunnels \(shown)" : "has no https URL for its tunnel \(shown)")
    }

    /// The https URL that all entries have in common; several endpoints may share a URL.
    private static func onlyURL(_ entries: [Entry]) -> String? {
        let urls = Set(entries.compactMap(\.httpsURL))
        return urls.count == 1 ? urls.first : nil
    }

    private static func listed(_ entries: [Entry], before start: String) -> String {
        entries.isEmpty ? "" : start + names(entries)
    }

    /// Limit of names in one message.
    private static let shownNames = 8

    private static func names(_ entries: [Entry]) -> String {
        let shown = entries.prefix(shownNames).map { entry in
            entry.name.map { "\"\(ForeignText.short($0))\"" } ?? "a tunnel without a name"
        }
        let rest = entries.count - shown.count
        return shown.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }
}

private struct Response: Decodable {
    /// A missing key is an error, null an empty list.
    let tunnels: [Entry]?

    private enum CodingKeys: CodingKey { case tunnels }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tunnels = try container.decode([Entry]?.self, forKey: .tunnels)
    }
}

/// One tunnel; a value of an unexpected type is nil.
private struct Entry: Decodable {
    var name: String?
    /// nil for any other scheme and for malformed text: another program writes the list.
    var httpsURL: String?
    var address: String?

    private enum CodingKeys: String, CodingKey {
        case name, config
        case publicURL = "public_url"
    }

    private struct Configuration: Decodable {
        let address: String?

        private enum CodingKeys: String, CodingKey { case address = "addr" }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let port = try? container.decode(Int.self, forKey: .address)
            address = port.map { "\($0)" } ?? (try? container.decode(String.self, forKey: .address))
        }
    }

    init(from decoder: any Decoder) throws {
        guard let container = try? decoder.container(keyedBy: CodingKeys.self) else { return }
        name = try? container.decode(String.self, forKey: .name)
        httpsURL = (try? container.decode(String.self, forKey: .publicURL)).flatMap { PublicURL.https($0) }
        address = (try? container.decode(Configuration.self, forKey: .config))?.address
    }
}

/// Where an ngrok tunnel leads: `8080`, `localhost:8080`, `http://localhost:8080/path`, `https://[::1]:8443`.
struct TunnelAddress: Equatable {
    /// Without brackets.
    let host: String
    let port: Int

    /// - Returns: nil for anything that leads to no port over HTTP, such as a directory (`file:///…`).
    init?(_ text: String?) {
        guard let text else { return nil }
        let digits = text.hasPrefix(":") ? text.dropFirst() : text[...]
        // ngrok takes a port alone for localhost.
        let isPort = digits.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        let address = isPort ? "localhost:\(digits)" : text
        guard let url = ParsedURL(address.contains("://") ? address : "http://" + address) else { return nil }
        (host, port) = (url.host, url.port)
    }

    /// Whether it leads to a port of this machine, as far as the text says.
    ///
    /// A port on another host is not known to be this machine's nginx.
    func leads(toPort port: Int) -> Bool {
        guard self.port == port else { return false }
        let name = host.lowercased()
        // In a container of Docker's, host.docker.internal is the machine.
        return ["0.0.0.0", "::", "host.docker.internal"].contains(name) || name.hasSuffix(".localhost")
            || Loopback.contains(host)
    }
}
