import Foundation
import Synchronization
import TestSupport
import Testing

/// A deployment that faults are put into, with the checks that every one of them has to pass.
final class FaultRig: Sendable {
    /// So many requests meet each fault at once: a leak of one each shows.
    static let crowd = 4
    /// So many there may be at once in all, some running and some coming.
    private static let warmUp = 2 * crowd + 2

    let deployment: Deployment
    /// Whether engine and central do what the fault says.
    let fault: Switch
    private let base: Vitals

    /// Makes a deployment, given the two scripts.
    typealias Deploy = (_ central: @escaping ScriptedServer.Script, _ engine: @escaping ScriptedServer.Script)
        async throws -> Deployment

    static let plain:
        @Sendable (@escaping ScriptedServer.Script, @escaping ScriptedServer.Script)
            async throws -> Deployment = { try await Deployment(central: $0, engine: $1) }

    /// One whose engine and central are always good.
    convenience init(_ deploy: Deploy) async throws {
        try await self.init(central: Deployment.validHMAC, engine: FaultRig.good, deploy: deploy)
    }

    /// Starts everything and takes the base line, after as many requests at once as the fault will meet.
    ///
    /// - Parameters:
    ///   - central, engine: what they do with a request while the fault is on.
    ///   - deploy: makes the deployment; for what `Deployment` takes besides the two scripts.
    init(
        central: @escaping ScriptedServer.Script = Deployment.validHMAC,
        engine: @escaping ScriptedServer.Script = FaultRig.good,
        deploy: Deploy = FaultRig.plain
    ) async throws {
        let fault = Switch()
        self.fault = fault
        let meeting = Meeting(Self.warmUp)
        let isWarm = Switch()
        deployment = try await deploy(
            { request in
                if !isWarm.isOn { try meeting.join("central") }
                try (fault.isOn ? central : Deployment.validHMAC)(request)
            },
            { request in
                guard request.method == "POST" else { return try request.answer(404, "{}") }
                if !isWarm.isOn { try meeting.join("engine") }
                try (fault.isOn ? engine : Self.good)(request)
            })
        let deployment = deployment
        base = try await onThread {
            // On a slow machine the first sample of the GPU may come after the worker has become ready.
            try deployment.waitUntil("it takes requests") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
            // As many transfers to both, and as many threads, as there will ever be.
            let probes = try (0..<Self.warmUp).map { _ in try Self.start(deployment, isStream: false) }
            let seen = probes.map(Sighting.of)
            guard seen.allSatisfy({ $0 == .whole(isStream: false) }) else {
                throw NeverHappened(description: "the warm-up: \(seen); \(deployment.worker.standardError)")
            }
            isWarm.isOn = true
            // The report has clients of its own.
            _ = try deployment.fetch("GET", "/health")
            let base = Vitals(of: deployment.worker.pid)
            guard base.descriptors > 3, base.threads > Self.warmUp else {
                throw NeverHappened(description: "no base line: \(base)")
            }
            return base
        }
    }

    /// What the engine does when nothing is wrong: three tokens or a small object, as asked.
    static let good: ScriptedServer.Script = { request in
        guard try request.bodyText().contains("stream") else { return try request.answer(200, Sighting.json) }
        try request.startStream()
        for token in Sighting.tokens { try request.event(token) }
        try request.event("[DONE]")
        try request.endStream()
    }

    private static func start(_ deployment: Deployment, isStream: Bool, padding: Int = 0) throws -> HTTPProbe {
        let body = (isStream ? #"{"stream":true}"# : "{}") + String(repeating: " ", count: padding)
        return try deployment.startCompletion(body, headers: ["X-Inferoute-HMAC: abc"])
    }

    // MARK: Elsewhere

    /// A rig whose engine and central are named by the file, so that a reload can name others.
    static func movable(workerCommand: [String]) async throws -> FaultRig {
        try await FaultRig { central, engine in
            let deployment = try await Deployment(
                settings: ["PROVIDER_OLLAMA_URL": nil, "PROVIDER_URL": nil], workerCommand: workerCommand,
                central: central, engine: engine)
            try await move(deployment)
            return deployment
        }
    }

    /// Tells the worker where engine and central are; nil for where they really are.
    func move(engine: String? = nil, central: String? = nil) async throws {
        try await Self.move(deployment, engine: engine, central: central)
    }

    private static func move(_ deployment: Deployment, engine: String? = nil, central: String? = nil) async throws {
        let reloads = deployment.worker.standardError.count("reloaded from")
        try deployment.reload(
            """
            ollama: {url: "\(engine ?? deployment.engine.url)"}
            provider: {url: "\(central ?? deployment.central.url)"}
            """)
        try await eventually("it has been reloaded") {
            deployment.worker.standardError.count("reloaded from") > reloads
        }
    }

    // MARK: What a fault's run is made of; blocking calls

    /// Sends a completion and leaves its answer to be read.
    func start(isStream: Bool = false, padding: Int = 0) throws -> HTTPProbe {
        try Self.start(deployment, isStream: isStream, padding: padding)
    }

    /// A crowd's completions at once, and what came of them.
    func crowd(isStream: Bool = false) -> [Sighting] {
        // One that finds no connection is a sighting as well.
        let probes = (0..<Self.crowd).map { _ in try? start(isStream: isStream) }
        return probes.map { $0.map(Sighting.of) ?? .noConnection }
    }

    /// Waits until a completion is served whole.
    func waitUntilServed() throws {
        try deployment.waitUntil("a completion is served") { try Sighting.of(start()) == .whole(isStream: false) }
    }

    func waitUntilLogged(_ text: String) throws {
        try deployment.waitUntil("the worker says \(text)") { deployment.worker.standardError.contains(text) }
    }

    /// Completions that the engine has begun with.
    var begun: Int { deployment.engine.requests.count { $0.hasPrefix("POST") } }

    // MARK: At the end

    /// Whether all is as it was: the next requests are served, nothing is held, and the worker ends when told to.
    ///
    /// - Parameter hadMany: there were more requests at once than in the warm-up: a bounded number of threads and
    ///   transfers is kept for the next ones.
    func settle(hadMany: Bool = false) async throws {
        let worker = deployment.worker
        try await onThread { [self] in
            #expect(crowd() == Array(repeating: .whole(isStream: false), count: Self.crowd))
            #expect(crowd(isStream: true) == Array(repeating: .whole(isStream: true), count: Self.crowd))
            let busy = try deployment.fetch("GET", "/busy").body
            #expect(busy == #"{"busy":false}"#)
        }
        #expect(worker.ended == nil, "\(worker.standardError.suffix(4000))")
        var base = base
        // Those of Swift's own pool come when they are first needed; fewer than a leak would be.
        base.threads += Self.crowd - 1
        if hadMany {
            // WorkerThreads.maxIdle, and HTTPClient.idleLimit for the engine and for central: three descriptors each.
            base.threads += 32
            base.descriptors += 2 * 3 * 128
        }
        try await eventually("nothing is left over: \(base); now \(Vitals(of: worker.pid))") {
            Vitals(of: worker.pid).isWithin(base)
        }
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
    }
}

/// Something that is on or off, seen by all threads.
final class Switch: Sendable {
    private let state = Atomic(false)

    var isOn: Bool {
        get { state.load(ordering: .sequentiallyConsistent) }
        set { state.store(newValue, ordering: .sequentiallyConsistent) }
    }
}

/// Holds those who come to a place until all who are expected there have come.
private final class Meeting: Sendable {
    private let expected: Int
    private let gates: [String: Gate] = ["central": Gate(), "engine": Gate()]
    private let arrived = Mutex<[String: Int]>([:])

    init(_ expected: Int) {
        self.expected = expected
    }

    func join(_ place: String) throws {
        let isLast = arrived.withLock { arrived in
            arrived[place, default: 0] += 1
            return arrived[place] == expected
        }
        if isLast { for _ in 0..<expected { gates[place]?.open() } }
        try gates[place]?.wait()
    }
}
