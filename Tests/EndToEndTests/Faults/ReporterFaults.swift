import Foundation
import TestSupport
import Testing

/// What the reporter meets; one process that reports again and again, as in a container.
extension Fault {
    private static let nextReport = "with the next report"

    /// Whatever the engine does instead of listing its models, the central system keeps the last list.
    static let engineListsNothing = Fault(
        .engine, "the engine gives the reporter no list: it is down, responds with 404 or an error in a 200, or resets"
    ) {
        let trouble = SharedValue("")
        let rig = try await ReporterRig(engine: { request in
            switch trouble.value {
            case "404": try request.respond(404, "404 page not found")
            case "error": try request.respond(200, #"{"error":"Unexpected endpoint or method."}"#)
            case "reset": request.connection.reset()
            default: try FakeEngine.oneModel(request)
            }
        })
        let engine = rig.deployment.engine
        return try await rig.outcome {
            try await rig.waitForReport(with: #""id":"m""#)
            engine.stop()
            try await rig.waitForRunWithoutReport("cannot connect: ")
            try await rig.examine()
            trouble.value = "404"
            try engine.start()
            try await rig.waitForRunWithoutReport("/v1/models responded with 404")
            try await rig.examine()
            trouble.value = "error"
            try await rig.waitForRunWithoutReport("/v1/models sent something other than a list")
            try await rig.examine()
            trouble.value = "reset"
            try await rig.waitForRunWithoutReport("reset")
            try await rig.examine()
            #expect(rig.reportsWithout(#""id":"m""#) == [])
            trouble.value = ""
            try await rig.waitForReport(with: #""id":"m""#)
            return Outcome(
                client: "the central system: nothing", lost: "nothing: it keeps the models and their prices",
                recovery: nextReport)
        }
    }

    static let ngrokIsAway = Fault(.processes, "the tunnel's URL changes; the ngrok agent is away in between") {
        let agent = SharedValue("")
        let ngrok = try ScriptedServer { request in
            guard !agent.value.isEmpty else { return request.connection.reset() }
            try request.respond(200, #"{"tunnels":[{"public_url":"\#(agent.value)","proto":"https"}]}"#)
        }
        let rig = try await ReporterRig(settings: ["PROVIDER_NGROK_API": ngrok.url])
        return try await rig.outcome {
            for url in ["https://first.ngrok-free.app", "", "https://second.ngrok-free.app"] {
                agent.value = url
                try await rig.waitForReport(with: #""ngrok":{"url":"\#(url)"}"#)
                if url.isEmpty { try await rig.examine() }
            }
            return Outcome(
                client: "the central system: the first URL, an empty one, then the second", lost: "nothing",
                recovery: nextReport)
        }
    }

    static let cloudflaredIsAway = Fault(
        .processes, "the quick tunnel's host name changes; cloudflared is away in between"
    ) {
        let host = SharedValue("")
        let cloudflared = try ScriptedServer { request in
            guard !host.value.isEmpty else { return request.connection.reset() }
            try request.respond(200, #"{"hostname":"\#(host.value)"}"#)
        }
        let rig = try await ReporterRig(settings: ["PROVIDER_CLOUDFLARE_METRICS": cloudflared.url])
        return try await rig.outcome {
            for name in ["first.trycloudflare.com", "", "second.trycloudflare.com"] {
                host.value = name
                let url = name.isEmpty ? "" : "https://" + name
                try await rig.waitForReport(with: #""cloudflare":{"url":"\#(url)"}"#)
                if url.isEmpty { try await rig.examine() }
            }
            return Outcome(
                client: "the central system: the first URL, an empty one, then the second", lost: "nothing",
                recovery: nextReport)
        }
    }

    static let tunnelsAreAmbiguous = Fault(
        .processes, "the ngrok agent has several https tunnels, and none leads to nginx"
    ) {
        let port = SharedValue("")
        let agent = try ScriptedServer { request in
            let entries = [("webui", "3000"), ("provider", port.value)].map { name, port in
                #"{"name":"\#(name)","public_url":"https://\#(name).ngrok.app","config":{"addr":"localhost:\#(port)"}}"#
            }
            try request.respond(200, #"{"tunnels":[\#(entries.joined(separator: ","))]}"#)
        }
        let rig = try await ReporterRig(settings: ["PROVIDER_NGROK_API": agent.url])
        return try await rig.outcome {
            port.value = "8081"
            try await rig.waitForReport(with: #""ngrok":{"url":""}"#)
            try await rig.examine()
            #expect(rig.log.contains(#"has 2 https tunnels, "webui", "provider", and none leads to port 8080"#))
            port.value = "8080"
            try await rig.waitForReport(with: #""ngrok":{"url":"https://provider.ngrok.app"}"#)
            return Outcome(
                client: "the central system: an empty URL; the log names the tunnels", lost: "nothing",
                recovery: nextReport)
        }
    }
}

/// A deployment, and beside it the built reporter with `--every 1`, as in a container.
private final class ReporterRig: Sendable {
    let deployment: Deployment
    private let process: ChildProcess
    private let seen = SharedValue("")
    private let diagnosis = Diagnosis()
    /// Where no ngrok agent listens.
    private let nobody: PortReservation

    /// - Parameter settings: of both programs; the public URL is the tunnel's to tell.
    init(
        settings: [String: String] = [:], engine: @escaping ScriptedServer.Script = FakeEngine.oneModel
    ) async throws {
        let seen = seen
        nobody = try PortReservation()
        let common = [
            "PROVIDER_REPORT_TIMEOUT": "1", "PROVIDER_NGROK_URL": "",
            "PROVIDER_NGROK_API": "http://127.0.0.1:\(nobody.port)",
        ]
        deployment = try await Deployment(
            settings: common.merging(settings) { $1 },
            central: { request in
                guard !request.target.hasSuffix("validate_hmac") else { return try FakeCentral.valid(request) }
                seen.value += try request.bodyText() + "\n"
                try request.respond(200, "")
            }, engine: engine)
        process = try .reporter(
            ["--every", "1", "--config", deployment.configurationPath], environment: deployment.workerEnvironment,
            logsToJournal: true)
    }

    /// Runs doctor while the fault is made for the first time.
    func examine() async throws {
        guard !diagnosis.isClosed else { return }
        diagnosis.note(
            try await onThread { [deployment] in try deployment.examine(settings: ["PROVIDER_NGROK_URL": ""]) })
    }

    private var reports: [String] { seen.value.split(separator: "\n").map(String.init) }
    var log: String { process.standardError }

    func reportsWithout(_ text: String) -> [String] { reports.filter { !$0.contains(text) } }

    /// Waits until one more report has come that has this in it.
    func waitForReport(with text: String) async throws {
        let count = reports.count
        try await eventually("the report with \(text)") { reports.dropFirst(count).contains { $0.contains(text) } }
    }

    /// Waits until a whole run has ended without a report, for a reason.
    func waitForRunWithoutReport(_ reason: String) async throws {
        let before = log.count
        try await eventually("a run ends without a report: \(reason)") {
            log.dropFirst(before).split(separator: "\n").contains {
                $0.contains("report not sent: ") && $0.contains(reason)
            }
        }
    }

    /// The outcome of steps that run twice; the second time may hold no more than the first.
    func outcome(of steps: @Sendable () async throws -> Fault.Outcome) async throws -> Fault.Outcome {
        var outcome = try await steps()
        diagnosis.close()
        let base = try await Holdings.atRest(process)
        #expect(try await steps() == outcome)
        #expect(process.ended == nil)
        try await eventually("nothing is left over") { Holdings(of: process.pid).isWithin(base) }
        process.terminate()
        #expect(try await process.waitForExit() == .status(0))
        outcome.doctor = diagnosis.text
        return outcome
    }
}
