import FoundationEssentials

/// The tunnels of an ngrok agent: `GET /api/tunnels` lists each with `name`, `public_url` and `config.addr` (ngrok, "Agent
/// API"). A tunnel of an edge has labels and no `public_url`.
struct NgrokTunnels {
    private let entries: [Entry]

    /// An entry that makes no sense costs no other.
    ///
    /// - Returns: nil for a body that is no list of tunnels.
    init?(_ body: [UInt8]) {
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)) else { return nil }
        entries = answer.tunnels ?? []
    }

    /// The public URL of the tunnel that leads to this provider, or why it cannot be known.
    enum Choice: Equatable {
        case url(String)
        /// Completes "the agent …"; names the tunnels there are.
        case none(String)
    }

    /// - Parameters:
    ///   - name: of the only tunnel that is meant; empty to find it.
    ///   - port: nginx's, which decides between several https tunnels.
    func choice(name: String, port: Int) -> Choice {
        guard name.isEmpty else { return named(name) }
        let secure = entries.filter { $0.httpsURL != nil }
        if let url = Self.onlyURL(secure) { return .url(url) }
        guard !secure.isEmpty else { return .none("has no https tunnel" + Self.listed(entries, before: ", only ")) }
        // This machine first. A name in between, as of a container, is only known by the port.
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
        let shown = "\"\(Found.foreign(name))\" (ngrok.tunnel)"
        guard !meant.isEmpty else {
            return .none("has no tunnel \(shown)" + Self.listed(entries, before: ", only "))
        }
        if let url = Self.onlyURL(meant) { return .url(url) }
        let isSecure = meant.contains { $0.httpsURL != nil }
        return .none(isSecure ? "has several https tunnels \(shown)" : "gives its tunnel \(shown) no https URL")
    }

    /// The https URL that all of them have in common; several endpoints may share one.
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
            entry.name.map { "\"\(Found.foreign($0))\"" } ?? "one without a name"
        }
        let rest = entries.count - shown.count
        return shown.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }
}

private struct Answer: Decodable {
    /// Missing is an error, null is none.
    let tunnels: [Entry]?

    private enum CodingKeys: CodingKey { case tunnels }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        tunnels = try container.decode([Entry]?.self, forKey: .tunnels)
    }
}

/// One tunnel; what has another type than expected is nil.
private struct Entry: Decodable {
    var name: String?
    /// nil for any other scheme and for text that is no URL: another program writes the list.
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
