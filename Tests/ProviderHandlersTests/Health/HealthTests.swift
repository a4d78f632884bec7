import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// GET /health and the report in it, in process.
@Suite struct HealthTests {
    private static let sample = GPUSample(
        gpus: [
            GPU(
                productName: "A", uuid: "GPU-a", utilization: 5, memoryTotal: 100, memoryUsed: 10, memoryFree: 90),
            GPU(
                index: 1, productName: "B", uuid: "GPU-b", utilization: 50, isMIG: true, temperature: 40, power: 26,
                migDevices: [MIGDevice(index: 0, gpuInstance: 3, memoryTotal: 20, memoryUsed: 5, memoryFree: 15)]),
        ],
        driverVersion: "550.1")

    private static let models: ScriptedServer.Script = { try $0.answer(200, #"{"data":[{"id":"m","created":1}]}"#) }

    private func answer(
        _ status: GPUStatus, engine: @escaping ScriptedServer.Script = Self.models,
        configure: (inout Configuration) -> Void = { _ in }
    ) throws -> FakeClient.Answer {
        try PipelineFixture(configure: configure, status: status, engine: engine).handle(.get("/health"))
    }

    /// The details are the first GPU's, the load is what the busy rule sees; what is unknown is null.
    @Test(arguments: [(Configuration.BusyPolicy.any, 50, true), (.all, 5, false)])
    func severalGPUs(policy: Configuration.BusyPolicy, utilization: Int, isBusy: Bool) async throws {
        try await onThread {
            let answer = try answer(.known(Self.sample), configure: { $0.gpu.busyPolicy = policy })
            #expect(answer.status == 200)
            #expect(
                answer.text == """
                    {"data":[{"created":1,"id":"m","object":"model","owned_by":"library"}],"gpu":{"cuda_version":null,\
                    "driver_version":"550.1","gpu_count":2,"gpus":[\
                    {"index":0,"memory_free":90,"memory_total":100,"memory_used":10,"mig_devices":[],"power":null,\
                    "product_name":"A","temperature":null,"utilization":5,"uuid":"GPU-a"},\
                    {"index":1,"memory_free":null,"memory_total":null,"memory_used":null,"mig_devices":[\
                    {"compute_instance_id":null,"gpu_instance_id":3,"index":0,"memory_free":15,"memory_total":20,\
                    "memory_used":5,"uuid":null}],"power":26,"product_name":"B","temperature":40,"utilization":50,\
                    "uuid":"GPU-b"}],"is_busy":\(isBusy),"memory_free":90,"memory_total":100,\
                    "memory_used":10,"product_name":"A","utilization":\(utilization),"uuid":"GPU-a"},\
                    "ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}
                    """)
        }
    }

    @Test func aMachineWithoutGPUIsWell() async throws {
        try await onThread {
            let answer = try answer(.absent)
            #expect(answer.status == 200)
            #expect(answer.text.contains(#""gpu":null"#))
            #expect(!answer.text.contains("errors"))
        }
    }

    @Test func anUnknownStateIsReportedWithWhatIsKnown() async throws {
        try await onThread {
            let known = try answer(.unknown(reason: "driver gone", last: Self.sample))
            #expect(known.status == 503)
            #expect(known.text.contains(#""errors":["gpu: driver gone"]"#))
            #expect(known.text.contains(#""is_busy":true"#))
            #expect(known.text.contains(#""product_name":"A""#))
            let unknown = try answer(.unknown(reason: "driver gone", last: nil), engine: { try $0.answer(500, "") })
            #expect(unknown.status == 503)
            #expect(
                unknown.text.contains(#""data":[],"errors":["engine: /api/models answered 500","gpu: driver gone"]"#))
            #expect(unknown.text.contains(#""gpu":null"#))
        }
    }

    @Test func aGPUThatTellsNothingIsBusyWhileARequestRuns() async throws {
        try await onThread {
            let silent = GPUSample(gpus: [GPU(productName: "MIG")])
            let fixture = try PipelineFixture(gpu: .unreadable, status: .known(silent), engine: Self.models)
            try fixture.admission.withPlace { _ in
                let answer = fixture.handle(.get("/health"))
                #expect(answer.text.contains(#""is_busy":true"#))
                #expect(answer.text.contains(#""utilization":null"#))
            }
            let idle = try PipelineFixture(gpu: .unreadable, status: .known(silent), engine: Self.models)
            #expect(idle.handle(.get("/health")).text.contains(#""is_busy":false"#))
        }
    }

    @Test func theEngineIsAskedOnceHoweverManyAsk() async throws {
        try await onThread {
            let arrived = Gate()
            let release = Gate()
            let fixture = try PipelineFixture(engine: { request in
                arrived.open()
                try release.wait()
                try request.answer(200, #"{"data":[]}"#)
            })
            let group = DispatchGroup()
            let served = Counter()
            for _ in 0..<20 {
                DispatchQueue.global().async(group: group) {
                    let answer = fixture.handle(.get("/health"))
                    // Four may wait for the one that collects; any more at that moment are told so.
                    if answer.status == 200 {
                        _ = served.next()
                    } else {
                        #expect(answer.status == 503 && answer.text.contains("engine: has not answered yet"))
                    }
                }
            }
            try arrived.wait()
            release.open()
            #expect(group.wait(timeout: .patience) == .success)
            #expect(fixture.engine.requests.count == 1)
            #expect(served.value >= 5)
        }
    }

    /// While the engine hangs on the next question, the report before is given if it is young enough; else the truth.
    @Test(arguments: [(Duration.seconds(600), 200), (.zero, 503)])
    func aHangingEngineHoldsFew(maxAge: Duration, status: Int) async throws {
        try await onThread {
            let questions = Counter()
            let hanging = Gate()
            let fixture = try PipelineFixture(
                freshness: .zero, maxAge: maxAge,
                engine: { request in
                    if questions.next() == 1 { return try request.answer(200, #"{"data":[{"id":"m"}]}"#) }
                    hanging.open()
                    try request.connection.waitForHangUp()
                })
            #expect(fixture.handle(.get("/health")).status == 200)
            Thread.detachNewThread { fixture.handle(.get("/health")) }
            try hanging.wait()
            let answer = fixture.handle(.get("/health"))
            #expect(answer.status == status)
            #expect(answer.text.contains(#""id":"m""#) == (status == 200))
            #expect(answer.text.contains("errors") == (status == 503))
        }
    }
}
