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
        let engine = try ScriptedServer { request in
            switch trouble.value {
            case "404": try request.respond(404, "404 page not found")
            case "error": try request.respond(200, #"{"error":"Unexpected endpoint or method."}"#)
            case "reset": request.connection.reset()
            default: try FakeEngine.oneModel(request)
            }
        }
        let rig = try ReporterRig(engine: engine)
        return try await rig.outcome {
            try await rig.waitForReport(with: #""id":"m""#)
            engine.stop()
            try await rig.waitForRunWithoutReport("cannot connect: ")
            trouble.value = "404"
            try engine.start()
            try await rig.waitForRunWithoutReport("/v1/models responded with 404")
            trouble.value = "error"
            try await rig.waitForRunWithoutReport("/v1/models sent something other than a list")
            trouble.value = "reset"
            try await rig.waitForRunWithoutReport("reset")
            #expect(rig.reportsWithout(#""id":"m""#) == [])
            trouble.value = ""
            try await rig.waitForReport(with: #""id":"m""#)
            return Outcome(
                client: "the central system: nothing", lost: "nothing: it keeps the models and their prices",
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
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let rig = try ReporterRig(engine: engine, settings: ["PROVIDER_CLOUDFLARE_METRICS": cloudflared.url])
        return try await rig.outcome {
            for name in ["first.trycloudflare.com", "", "second.trycloudflare.com"] {
                host.value = name
                let url = name.isEmpty ? "" : "https://" + name
                try await rig.waitForReport(with: #""cloudflare":{"url":"\#(url)"}"#)
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
        let engine = try ScriptedServer(FakeEngine.oneModel)
        let rig = try ReporterRig(
            engine: engine, settings: ["PROVIDER_NGROK_URL": "", "PROVIDER_NGROK_API": agent.url])
        return try await rig.outcome {
            port.value = "8081"
            try await rig.waitForReport(with: #""ngrok":{"url":""}"#)
            #expect(rig.log.contains(#"has 2 https tunnels, "webui", "provider", and none leads to port 8080"#))
            port.value = "8080"
            try await rig.waitForReport(with: #""ngrok":{"url":"https://provider.ngrok.app"}"#)
            return Outcome(
                client: "the central system: an empty URL; the log names the tunnels", lost: "nothing",
                recovery: nextReport)
        }
    }
}

/// The built reporter with `--every 1`, and the central system that it reports to.
private final class ReporterRig: Sendable {
    private let process: ChildProcess
    private let central: ScriptedServer
    private let seen = SharedValue("")

    init(engine: ScriptedServer, settings: [String: String] = [:]) throws {
        let seen = seen
        central = try ScriptedServer { request in
            seen.value += try request.bodyText() + "\n"
            try request.respond(200, "")
        }
        process = try Deployment.reporter(
            ["--every", "1"], engine: engine, central: central,
            settings: ["PROVIDER_REPORT_TIMEOUT": "1"].merging(settings) { $1 })
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
        let outcome = try await steps()
        let base = try await Holdings.atRest(process)
        #expect(try await steps() == outcome)
        #expect(process.ended == nil)
        try await eventually("nothing is left over") { Holdings(of: process.pid).isWithin(base) }
        process.terminate()
        #expect(try await process.waitForExit() == .status(0))
        return outcome
    }
}
