/// Reads how nginx tells of a completion that it has forwarded by itself (`nginx/provider-handoff.conf`).
///
/// nginx sends a syslog message (RFC 3164): priority, time, the tag `provider_handoff`, then its log format: path, URI, status,
/// body bytes, seconds, and the seconds until a response's head, one for each upstream.
enum HandoffRecord {
    /// - Returns: nil for anything but such a message.
    static func outcome(_ message: some Collection<UInt8>) -> Outcome? {
        let text = String(decoding: message, as: UTF8.self)
        guard let start = text.firstRange(of: " provider_handoff: ") else { return nil }
        let fields = text[start.upperBound...].split(separator: " ", maxSplits: 5)
        guard fields.count == 6, let status = Int(fields[2]), (100...599).contains(status),
            let bytes = UInt64(fields[3]), let seconds = Double(fields[4]), (0...1e6).contains(seconds)
        else { return nil }
        // `0.001 : 0.250`, with commas where nginx asked again; `-` where no head came.
        let times = fields[5].split { " ,:\n\0".contains($0) }
        let heads = times.compactMap { Double($0) }
        let hasHead = !heads.isEmpty && heads.count == times.count
        let hasLeft = status == Outcome.clientClosedRequest
        return Outcome(
            endpoint: Endpoint(path: String(fields[0])), status: status,
            code: hasLeft ? Outcome.clientGone : code(of: fields[1]), bytes: bytes, duration: .seconds(seconds),
            firstByte: hasHead ? .seconds(heads.reduce(0, +)) : nil, isAdmitted: true)
    }

    /// nginx's own responses are locations, whose paths end with their codes.
    private static func code(of uri: Substring) -> String {
        let prefix = "/.provider-client/"
        guard uri.hasPrefix(prefix) else { return "" }
        let name = String(uri.dropFirst(prefix.count))
        return name == "engine_full" ? "too_many_requests_in_flight" : name
    }
}
