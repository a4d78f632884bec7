/// The central system's verdicts on an HMAC.
public enum FakeCentral {
    public static let valid: ScriptedServer.Script = { try $0.respond(200, #"{"valid":true}"#) }
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
