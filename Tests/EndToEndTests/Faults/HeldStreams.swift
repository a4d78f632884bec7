import TestSupport

/// An engine that holds its streams after their first token.
struct HeldStreams: Sendable {
    let began = Gate()
    let finish = Gate()
    let gone = Gate()

    var script: ScriptedServer.Script {
        { [self] request in
            try begin(request)
            try finish.wait()
            for token in ["b", "c", "[DONE]"] { try request.event(token) }
            try request.endStream()
        }
    }

    /// The same, but it only ends by the client's leaving.
    var endless: ScriptedServer.Script {
        { [self] request in
            try begin(request)
            try request.connection.waitForHangUp()
            gone.open()
        }
    }

    private func begin(_ request: ScriptedRequest) throws {
        _ = try request.bodyText()
        try request.startStream()
        try request.event("a")
        began.open()
    }

    /// Streams after their first token; each tells its outcome.
    func start(_ rig: FaultRig) throws -> [() -> Sighting] {
        rig.fault.value = true
        let probes = try (0..<FaultRig.crowd).map { _ in try rig.start(isStream: true) }
        for _ in probes { try began.wait() }
        rig.fault.value = false
        return try probes.map { probe in
            let response = try probe.response()
            let begun = try response.body.next()
            return { withExtendedLifetime(probe) { Sighting.of(response, begun: begun) } }
        }
    }

    func end(_ streams: [() -> Sighting]) -> [Sighting] {
        for _ in streams { finish.open() }
        return streams.map { $0() }
    }
}
