public import Foundation

/// The central system's verdicts on an HMAC.
public enum FakeCentral {
    /// Every HMAC is valid, except an HMAC that doctor makes up.
    public static let valid: ScriptedServer.Script = { request in
        let isMadeUp = try request.bodyText().contains(#""doctor-"#)
        try request.respond(
            isMadeUp ? 401 : 200, isMadeUp ? #"{"valid":false}"# : #"{"valid":true}"#,
            headers: ["Date: " + httpDate(.now)])
    }

    public static let invalid: ScriptedServer.Script = { try $0.respond(401, #"{"valid":false}"#) }
}

/// Engines with the same response to every request.
public enum FakeEngine {
    /// A small object.
    public static let object: ScriptedServer.Script = { try $0.respond(200, "{}") }

    /// Ollama's list of one model; the engine knows nothing else.
    public static let oneModel: ScriptedServer.Script = { request in
        guard request.target == "/v1/models" else { return try request.respond(404, "404 page not found") }
        try request.respond(
            200, #"{"object":"list","data":[{"id":"m","object":"model","created":5,"owned_by":"library"}]}"#)
    }
}

/// A date as HTTP writes it (RFC 9110, 5.6.7).
public func httpDate(_ date: Date) -> String {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = .gmt
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return formatter.string(from: date)
}
