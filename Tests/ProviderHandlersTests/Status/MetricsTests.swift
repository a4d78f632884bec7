import Foundation
import Logging
import TestSupport
import Testing

@testable import ProviderHandlers

/// What `/metrics` and `/status.json` say of the requests that came.
@Suite("Metrics and status")
struct MetricsTests {
    private let scoreboard = Scoreboard.private

    private func status(
        _ gpu: GPUStatus = .absent, condition: GPUCondition = .none, refusal: Refusal? = nil,
        change: (inout MachineStatus) -> Void = { _ in }
    ) -> MachineStatus {
        var configuration = Configuration()
        configuration.gpu.admitPerSample = 2
        var status = MachineStatus(
            time: Date(timeIntervalSince1970: 1_700_000_000.5), totals: scoreboard.totals(),
            admission: AdmissionNow(
                configuration: configuration, gpu: gpu, condition: condition, refusal: refusal,
                inFlight: scoreboard.inFlight),
            sampleAge: nil, engine: MachineStatus.EngineState(), report: nil, publicURL: nil, isShared: false,
            history: { _ in [] })
        change(&status)
        return status
    }

    private func sample(_ gpus: [GPU]) -> GPUSample { GPUSample(gpus: gpus) }

    private func json(_ status: MachineStatus) throws -> [String: Any] {
        let bytes = StatusDocument(status).json
        return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }

    @Test("each outcome has a sample of its own")
    func outcomes() {
        let recorder = RequestRecorder(scoreboard)
        for code in ["", "gpu_busy", "gpu_busy"] {
            recorder.record(
                Outcome(
                    endpoint: .chatCompletions, status: code.isEmpty ? 200 : 503, code: code, bytes: 10,
                    duration: .milliseconds(40), firstByte: .milliseconds(20), isAdmitted: code.isEmpty))
        }
        let text = status().metrics
        #expect(
            text.contains(
                #"provider_requests_total{endpoint="chat_completions",status="200",code=""} 1"# + "\n"))
        #expect(
            text.contains(
                #"provider_requests_total{endpoint="chat_completions",status="503",code="gpu_busy"} 2"# + "\n"))
        #expect(text.contains(#"provider_response_bytes_total{endpoint="chat_completions"} 30"# + "\n"))
        // Refused completions have no duration.
        #expect(text.contains(#"provider_request_duration_seconds_count{endpoint="chat_completions"} 1"# + "\n"))
        #expect(
            text.contains(
                #"provider_request_duration_seconds_bucket{endpoint="chat_completions",le="0.05"} 1"# + "\n"))
        #expect(
            text.contains(
                #"provider_request_duration_seconds_bucket{endpoint="chat_completions",le="0.025"} 0"# + "\n"))
    }

    @Test("an unknown figure is no sample")
    func unknownFigures() {
        let gpu = GPU(index: 1, productName: #"a "b" \c"#, uuid: "GPU-1", memoryTotal: 2)
        let text = status(.known(sample([gpu])), condition: .unreadable).metrics
        #expect(!text.contains("provider_gpu_utilization_ratio{"))
        #expect(!text.contains("\nprovider_engine_up "))
        #expect(!text.contains("\nprovider_report_last_exit_status "))
        let labels = #"{gpu="1",uuid="GPU-1",name="a \"b\" \\c"}"#
        #expect(text.contains("provider_gpu_memory_total_bytes\(labels) 2097152\n"))
        #expect(text.contains(#"provider_gpu_state{state="unreadable"} 1"# + "\n"))
        #expect(text.contains(#"provider_gpu_state{state="idle"} 0"# + "\n"))
    }

    @Test("an unknown key of status.json is null")
    func unknownKeys() throws {
        let document = try json(status(.known(sample([GPU()])), condition: .unreadable))
        let gpu = try #require((document["gpus"] as? [[String: Any]])?.first)
        #expect(gpu["utilization_percent"] is NSNull)
        #expect(gpu["temperature_celsius"] is NSNull)
        #expect(document["report"] is NSNull)
        #expect(document["public_url"] is NSNull)
        #expect(document["time"] as? String == "2023-11-14T22:13:20.500Z")
    }

    private static let busy = GPUStatus.known(GPUSample(gpus: [GPU(index: 0, utilization: 63)]))
    private static let failed = GPUStatus.unknown(reason: "nvidia-smi: failed", last: nil)

    @Test(
        "the headline is the first fact of the order that is true",
        arguments: [
            (Self.busy, GPUCondition.busy, Refusal.gpuBusy, "Refusing: GPU 0 at 63 %, the limit is 20 %"),
            (Self.failed, .unknown, .gpuUnknown, "Refusing: the driver does not answer (nvidia-smi: failed)"),
            (.absent, .none, .tooManyInFlight(limit: 64), "Refusing: 64 of 64 requests in flight"),
            (Self.busy, .idle, .gpuBusy, "Refusing: the newest GPU sample has let in 2, as many as it may"),
            (Self.busy, .unreadable, .gpuBusy, "Refusing: a completion runs, and no GPU shows its utilization"),
        ])
    func headlines(gpu: GPUStatus, condition: GPUCondition, refusal: Refusal, text: String) throws {
        let refused = status(gpu, condition: condition, refusal: refusal)
        #expect(refused.headline.text == text)
        let admission = try #require(try json(refused)["admission"] as? [String: Any])
        #expect(admission["accepting"] as? Bool == false)
        #expect(admission["code"] as? String == refusal.code)
        let down = status(gpu, condition: condition, refusal: refusal) {
            $0.engine = MachineStatus.EngineState(isUp: false, detail: "cannot connect")
        }
        #expect(down.headline.text == "The engine is down: cannot connect")
    }

    @Test("a report that failed shows while completions are admitted")
    func reportFailed() {
        #expect(status().headline.text == "Accepting requests")
        let failed = status {
            $0.report = ReportRecord(
                lastAttempt: 1, lastSuccess: nil, exitStatus: 77, outcome: "central refused the key",
                responseStatus: 401, interval: 300)
        }
        #expect(failed.headline.text == "The last report failed: central refused the key")
        #expect(failed.metrics.contains("provider_report_last_exit_status 77\n"))
        #expect(!failed.metrics.contains("provider_report_last_success_timestamp_seconds 1"))
    }

    @Test("one line for systemctl status")
    func summary() {
        #expect(status().admission.summary == "accepting, 0 of 64 in flight")
        let idle = GPUStatus.known(sample([GPU(index: 0, utilization: 12)]))
        #expect(status(idle, condition: .idle).admission.summary == "accepting, 0 of 64 in flight, GPU 12 %")
        let busy = status(Self.busy, condition: .busy, refusal: .gpuBusy)
        #expect(busy.admission.summary == "refusing: GPU busy (63 %)")
    }

    @Test("each GPU has its history in the document", arguments: [[], [0], [0, 3]])
    func histories(indexes: [Int]) throws {
        let gpus = indexes.map { GPU(index: $0, utilization: nil, memoryUsed: nil) }
        let known = status(.known(sample(gpus)), condition: .idle) {
            $0.history = { index in
                [
                    GPUHistory.Point(time: 1_700_000_000, utilization: 7, memoryUsed: index),
                    GPUHistory.Point(time: 1_700_000_005, utilization: nil, memoryUsed: nil),
                ]
            }
        }
        let entries = try #require(try json(known)["gpus"] as? [[String: Any]])
        #expect(entries.map { $0["index"] as? Int } == indexes)
        for (index, entry) in zip(indexes, entries) {
            let points = try #require(entry["history"] as? [[String: Any]])
            #expect(points.map { $0["time"] as? String } == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:25.000Z"])
            #expect(points[0]["utilization_percent"] as? Int == 7)
            #expect(points[0]["memory_used_bytes"] as? Int == index << 20)
            #expect(points[1]["utilization_percent"] is NSNull && points[1]["memory_used_bytes"] is NSNull)
        }
    }

    @Test("a GPU's history has a point each five seconds, of the last 15 minutes")
    func history() {
        let history = GPUHistory()
        for second in 0..<2000 {
            history.note(sample([GPU(index: 0, utilization: second % 5 == 1 ? 80 : 3, memoryUsed: second)]), at: second)
        }
        let points = history.points(of: 0, at: 1999)
        #expect(points.count == GPUHistory.limit)
        #expect(points.last == GPUHistory.Point(time: 1995, utilization: 80, memoryUsed: 1999))
        #expect(history.points(of: 1, at: 1999).isEmpty)
        // Nothing new comes while the GPU is unknown.
        #expect(history.points(of: 0, at: 1999 + 450).count == GPUHistory.limit / 2)
        #expect(history.points(of: 0, at: 1999 + 900).isEmpty)
    }

    @Test("after a step back of the clock a GPU's history stays in order")
    func historyAfterAStepBack() {
        let history = GPUHistory()
        for second in [100, 105, 110, 3600, 102, 107] {
            history.note(sample([GPU(index: 0, utilization: 3, memoryUsed: second)]), at: second)
        }
        #expect(history.points(of: 0, at: 107).map(\.time) == [100, 105])
        #expect(history.points(of: 0, at: 104).map(\.time) == [100])
    }
}
