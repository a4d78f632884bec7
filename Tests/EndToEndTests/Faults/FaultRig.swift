import Foundation
import TestSupport
import Testing

/// A deployment that faults are put into, with the checks that every one of them has to pass.
final class FaultRig: Sendable {
    /// Number of requests that meet each fault at once, unless its row says otherwise.
    static let crowd = 4
    /// `WorkerThreads.maxIdle`, the first thread, and the threads that read nvidia-smi and NVML.
    private static let keptThreads = 32 + 3

    let deployment: Deployment
    /// Whether engine and central do what the fault says.
    let fault: SharedValue<Bool>
    private let meeting: Meeting
    private let diagnosis = Diagnosis()
    private let width: Int

    /// Makes a deployment, given the two scripts.
    typealias Deploy = (_ central: @escaping ScriptedServer.Script, _ engine: @escaping ScriptedServer.Script)
        async throws -> Deployment

    static let plain:
        @Sendable (@escaping ScriptedServer.Script, @escaping ScriptedServer.Script)
            async throws -> Deployment = { try await Deployment(central: $0, engine: $1) }

    /// One whose engine and central are always good.
    convenience init(width: Int = 2 * crowd + 2, _ deploy: Deploy) async throws {
        try await self.init(central: FakeCentral.valid, engine: FaultRig.good, width: width, deploy: deploy)
    }

    /// Starts everything, and sends as many requests at once as there will ever be.
    ///
    /// - Parameters:
    ///   - central, engine: what they do with a request while the fault is on.
    ///   - width: more requests than that never reach central at once, some running and some coming.
    ///   - deploy: makes the deployment; for what `Deployment` takes besides the two scripts.
    init(
        central: @escaping ScriptedServer.Script = FakeCentral.valid,
        engine: @escaping ScriptedServer.Script = FaultRig.good,
        width: Int = 2 * crowd + 2,
        deploy: Deploy = FaultRig.plain
    ) async throws {
        let fault = SharedValue(false)
        self.fault = fault
        self.width = width
        let meeting = Meeting()
        self.meeting = meeting
        deployment = try await deploy(
            { request in
                try meeting.join("central")
                try (fault.value ? central : FakeCentral.valid)(request)
            },
            { request in
                guard request.method == "POST" else { return try FakeEngine.oneModel(request) }
                try meeting.join("engine")
                try (fault.value ? engine : Self.good)(request)
            })
        let deployment = deployment
        try await onThread {
            // On a slow machine the first sample of the GPU may come after the worker has become ready.
            try deployment.waitUntil("it takes requests") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
            // The report has clients of its own.
            _ = try deployment.fetch("GET", "/health")
        }
        try await fill()
    }

    /// What the engine does when nothing is wrong: three tokens or a small object, as asked.
    static let good: ScriptedServer.Script = { request in
        guard try request.bodyText().contains("stream") else { return try request.respond(200, Sighting.json) }
        try request.startStream()
        for token in Sighting.tokens { try request.event(token) }
        try request.event("[DONE]")
        try request.endStream()
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

    /// Sends a completion and leaves its response to be read.
    ///
    /// - Parameter isSigned: whether central is asked.
    func start(isStream: Bool = false, padding: Int = 0, isSigned: Bool = true) throws -> HTTPProbe {
        let body = (isStream ? #"{"stream":true}"# : "{}") + String(repeating: " ", count: padding)
        return try deployment.startCompletion(body, headers: isSigned ? ["X-Inferoute-HMAC: abc"] : [])
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

    /// How often the worker has said something.
    func logged(_ text: String) -> Int { deployment.worker.standardError.count(text) }

    /// Waits until it says it once more than it had.
    func waitUntilLogged(_ text: String, beyond count: Int) throws {
        try deployment.waitUntil("the worker says \(text)") { logged(text) > count }
    }

    /// Completions that the engine has begun with.
    var begun: Int { deployment.engine.requests.count { $0.hasPrefix("POST") } }

    /// Runs doctor while the fault is made for the first time; what it says goes into the document.
    ///
    /// - Parameters:
    ///   - probes: whether the engine is asked for a token; it then counts as reached.
    ///   - command: runs doctor where the worker's command gives the worker another view of the machine.
    func examine(probes: Bool = false, behind command: [String] = []) throws {
        guard !diagnosis.isClosed else { return }
        diagnosis.note(try deployment.examine(probes ? ["--probe"] : [], behind: command))
    }

    // MARK: The checks

    /// What came of a fault that is made by blocking calls; see `outcomeOfSteps`.
    func outcome(
        again rounds: Int = 1, of fault: @escaping @Sendable () throws -> Fault.Outcome
    ) async throws -> Fault.Outcome {
        try await outcomeOfSteps(again: rounds) { try await onThread(fault) }
    }

    /// Makes a fault, takes what the worker holds after it as the base line, and makes it again: it has to come to the
    /// same, and nothing may be held beyond that. The next requests have to be served each time, and in the end the
    /// worker has to end when told to.
    ///
    /// - Parameter rounds: how often it is made again; more than once where it leaves one thing behind at most.
    func outcomeOfSteps(
        again rounds: Int = 1, of fault: @Sendable () async throws -> Fault.Outcome
    ) async throws -> Fault.Outcome {
        var outcome = try await fault()
        diagnosis.close()
        try await serve()
        let base = try await rest()
        for _ in 0..<rounds {
            let next = try await fault()
            #expect(next == outcome, "nginx said:\n\(deployment.nginx.errorLog.suffix(2000))")
            try await serve()
        }
        try await expectNothing(beyond: base)
        let worker = deployment.worker
        #expect(worker.ended == nil, "\(worker.standardError.suffix(4000))")
        worker.terminate()
        #expect(try await worker.waitForExit() == .status(0))
        outcome.doctor = diagnosis.text
        return outcome
    }

    private func serve() async throws {
        try await onThread { [self] in
            #expect(crowd() == Array(repeating: .whole(isStream: false), count: Self.crowd))
            #expect(crowd(isStream: true) == Array(repeating: .whole(isStream: true), count: Self.crowd))
            let busy = try deployment.fetch("GET", "/busy").body
            #expect(busy == #"{"busy":false}"#)
        }
    }

    /// As many requests at once as there will ever be, with as many threads and connections: what is kept of them is the
    /// same each time.
    private func fill() async throws {
        try await onThread { [self] in
            try meeting.call(width)
            let seen = try (0..<width).map { _ in try start() }.map(Sighting.of)
            guard seen.allSatisfy({ $0 == .whole(isStream: false) }) else {
                throw NeverHappened(description: "all at once: \(seen); \(deployment.worker.standardError)")
            }
        }
    }

    /// What the worker holds when it has nothing to do.
    func rest() async throws -> Holdings {
        try await fill()
        return try await Holdings.atRest(deployment.worker, maxThreads: Self.keptThreads)
    }

    /// Waits until no more is held than at the base line.
    ///
    /// - Throws: `NeverHappened` when it still is after the limit.
    func expectNothing(beyond base: Holdings, within limit: Duration = .seconds(60)) async throws {
        try await fill()
        var now = Holdings(of: deployment.worker.pid)
        do {
            try await eventually("nothing is left over", within: limit) {
                now = Holdings(of: deployment.worker.pid)
                return now.isWithin(base)
            }
        } catch let error as NeverHappened {
            throw NeverHappened(description: "\(error): \(base) before, \(now) now")
        }
    }
}
