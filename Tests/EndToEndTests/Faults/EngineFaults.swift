import Synchronization
import TestSupport

extension Fault {
    /// Far below the defaults, far above what a good response takes.
    private static let impatient = {
        let limit = "\(3 * Sanitizer.slowness)"
        return ["PROVIDER_OLLAMA_FIRST_BYTE_TIMEOUT": limit, "PROVIDER_OLLAMA_IDLE_TIMEOUT": limit]
    }()

    /// What the engine can do to us.
    static let engine: [Fault] = [
        engineIsDown,
        scripted(
            .engine, "engine resets the connection",
            engine: { request in
                _ = try request.bodyText()
                request.connection.reset()
            }),
        scripted(
            .engine, "engine closes without a response",
            engine: { request in
                _ = try request.bodyText()
                request.closeAfterwards()
            }),
        scripted(
            .engine, "engine hangs before its head", settings: impatient,
            engine: { request in
                _ = try request.bodyText()
                try request.connection.waitForHangUp()
            }),
        scripted(
            .engine, "engine hangs in the middle of a stream", isStream: true, settings: impatient,
            engine: {
                try beginStream($0)
                try $0.connection.waitForHangUp()
            }),
        scripted(
            .engine, "engine closes in the middle of its JSON",
            engine: { request in
                _ = try request.bodyText()
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"choi")
                request.closeAfterwards()
            }),
        scripted(
            .engine, "engine closes between two events", isStream: true,
            engine: {
                try beginStream($0)
                $0.closeAfterwards()
            }),
        scripted(
            .engine, "engine closes in the middle of an event", isStream: true,
            engine: {
                try beginStream($0)
                try $0.chunk("data: {\"choi")
                $0.closeAfterwards()
            }),
        scripted(
            .engine, "engine resets in the middle of a stream", isStream: true,
            engine: {
                try beginStream($0)
                $0.connection.reset()
            }),
        scripted(
            .engine, "engine's stream ends without `[DONE]`, and without HTTP's end", isStream: true,
            engine: {
                _ = try $0.bodyText()
                try $0.connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
                $0.closeAfterwards()
            }),
        scripted(
            .engine, "engine's stream ends properly, but without `[DONE]` and a `finish_reason`", isStream: true,
            engine: {
                try beginStream($0)
                // What Ollama says when its runner has died.
                try $0.event(#"{"model":"","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}"#)
                try $0.endStream()
            }),
        scripted(
            .engine, "engine closes in the middle of a JSON without a length",
            engine: {
                _ = try $0.bodyText()
                try $0.connection.send("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choi")
                $0.closeAfterwards()
            }),
        scripted(
            .engine, "engine's head has 20 KiB",
            engine: {
                try $0.respond(200, Sighting.json, headers: ["Set-Cookie: " + String(repeating: "x", count: 20_480)])
            }),
        keptConnectionsDie,
        scripted(.engine, "engine responds with garbage", engine: garbage),
        scripted(
            .engine, "engine's chunks are garbage", isStream: true,
            engine: {
                try beginStream($0)
                try $0.connection.send("no chunk at all\r\n")
                try $0.connection.waitForHangUp()
            }),
        engineRestarts,
        Fault(.engine, "the engine's name does not resolve", obstacle: Names.obstacle) {
            try await Names.unresolvable(.engine)
        },
        Fault(.engine, "the look-up of the engine's name hangs", obstacle: Names.obstacle) {
            try await Names.hanging(.engine)
        },
        engineListsNothing,
    ]

    private static func beginStream(_ request: ScriptedRequest) throws {
        try request.startStream()
        try request.event("a")
    }

    /// Each kept connection is closed when it is used again.
    private static let keptConnectionsDie = Fault(.engine, "engine closes each kept connection at its next use") {
        let uses = FirstUses()
        let rig = try await FaultRig(engine: { request in
            guard uses.isFirst(request.connection) else { return request.closeAfterwards() }
            try FaultRig.good(request)
        })
        return try await rig.outcome {
            let begun = rig.begun
            rig.fault.value = true
            let seen = (0..<10).flatMap { _ in rig.crowd() }
            try rig.examine(probes: true)
            rig.fault.value = false
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: "at once, on a fresh connection")
        }
    }

    private static let engineIsDown = Fault(.engine, "engine refuses connections") {
        let rig = try await FaultRig()
        return try await rig.outcome {
            let begun = rig.begun
            rig.deployment.engine.stop()
            let seen = rig.crowd()
            try rig.examine()
            try rig.deployment.engine.start()
            return Outcome(seen, hasReachedEngine: rig.begun > begun, recovery: nextRequest)
        }
    }

    /// Streams run, others come while it is down, and a load goes on all the time.
    private static let engineRestarts = Fault(.engine, "engine is restarted under load") {
        let began = Gate()
        let rig = try await FaultRig(engine: { request in
            guard try request.bodyText().contains("stream") else { return try request.respond(200, Sighting.json) }
            try beginStream(request)
            began.open()
            try request.connection.waitForHangUp()
        })
        return try await rig.outcomeOfSteps {
            let isOver = SharedValue(false)
            let seen = LoadLog()
            async let load: Void = onThread {
                while !isOver.value { seen.add(try Sighting.of(rig.start())) }
            }
            let outcome = try await onThread {
                defer { isOver.value = true }
                return try restart(rig, began, seen)
            }
            // The load's own requests are served, or meet what the others have met; a response that had begun is a 502.
            try await load
            let expected = [Sighting.whole(isStream: false), .refused(status: 502, code: "engine_unreachable")]
            let others = seen.all.filter { !expected.contains($0) }
            guard others.isEmpty else { throw NeverHappened(description: "the load has seen \(others)") }
            return outcome
        }
    }

    private static func restart(_ rig: FaultRig, _ began: Gate, _ load: LoadLog) throws -> Outcome {
        try waitUntil("there is load") { load.all.count > 5 }
        rig.fault.value = true
        let streams = try (0..<FaultRig.crowd).map { _ in try rig.start(isStream: true) }
        for _ in streams { try began.wait() }
        rig.deployment.engine.stop()
        let running = streams.map(Sighting.of)
        let refused = rig.crowd()
        rig.fault.value = false
        try rig.deployment.engine.start()
        let after = rig.crowd()
        let count = load.all.count
        try waitUntil("the load goes on") { load.all.count > count + 5 }
        let parts = [("running", running), ("while it is down", refused), ("afterwards", after)].map { part in
            "\(part.0): " + Outcome(part.1, hasReachedEngine: false, recovery: "").client
        }
        return Outcome(client: parts.joined(separator: "; "), lost: "the rest of what ran", recovery: nextRequest)
    }
}

/// What many requests, one after the other, came to.
private final class LoadLog: Sendable {
    private let state = Mutex<[Sighting]>([])

    var all: [Sighting] { state.withLock { $0 } }

    func add(_ sighting: Sighting) { state.withLock { $0.append(sighting) } }
}
