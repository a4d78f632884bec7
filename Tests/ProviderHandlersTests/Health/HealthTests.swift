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

    private static let models: ScriptedServer.Script = { try $0.respond(200, #"{"data":[{"id":"m","created":1}]}"#) }

    private func respond(
        _ status: GPUStatus, engine: @escaping ScriptedServer.Script = Self.models,
        configure: (inout Configuration) -> Void = { _ in }
    ) throws -> FakeClient.Response {
        try PipelineFixture(configure: configure, status: status, engine: engine).handle(.get("/health"))
    }

    /// The details are the first GPU's, the load is what the busy rule sees; what is unknown is null.
    @Test(arguments: [(Configuration.BusyPolicy.any, 50, true), (.all, 5, false)])
    func severalGPUs(policy: Configuration.BusyPolicy, utilization: Int, isBusy: Bool) async throws {
        try await onThread {
            let response = try respond(.known(Self.sample), configure: { $0.gpu.busyPolicy = policy })
            #expect(response.status == 200)
            #expect(
                response.text == """
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
            let response = try respond(.absent)
            #expect(response.status == 200)
            #expect(response.text.contains(#""gpu":null"#))
            #expect(!response.text.contains("errors"))
        }
    }

    @Test func anUnknownStateIsReportedWithTheKnownReadings() async throws {
        try await onThread {
            let known = try respond(.unknown(reason: "driver gone", last: Self.sample))
            #expect(known.status == 503)
            #expect(known.text.contains(#""errors":["gpu: driver gone"]"#))
            #expect(known.text.contains(#""is_busy":true"#))
            #expect(known.text.contains(#""product_name":"A""#))
            let unknown = try respond(.unknown(reason: "driver gone", last: nil), engine: { try $0.respond(500, "") })
            #expect(unknown.status == 503)
            #expect(unknown.text.contains(#""data":[],"errors":["engine: no list of models: http://127.0.0.1:"#))
            #expect(unknown.text.contains(#"/api/tags responded with 500","gpu: driver gone"]"#))
            #expect(unknown.text.contains(#""gpu":null"#))
        }
    }

    @Test func aGPUThatTellsNothingIsBusyWhileARequestRuns() async throws {
        try await onThread {
            let silent = GPUSample(gpus: [GPU(productName: "MIG")])
            let fixture = try PipelineFixture(gpu: .unreadable, status: .known(silent), engine: Self.models)
            try fixture.admission.withPlace { _ in
                let response = fixture.handle(.get("/health"))
                #expect(response.text.contains(#""is_busy":true"#))
                #expect(response.text.contains(#""utilization":null"#))
            }
            let idle = try PipelineFixture(gpu: .unreadable, status: .known(silent), engine: Self.models)
            #expect(idle.handle(.get("/health")).text.contains(#""is_busy":false"#))
        }
    }

    /// Only the list and the tunnel are kept: the GPUs are always current.
    @Test func theGPUsAreNotKept() async throws {
        try await onThread {
            let fixture = try PipelineFixture(status: .known(Self.sample), engine: Self.models)
            #expect(fixture.handle(.get("/health")).text.contains(#""is_busy":true"#))
            fixture.setGPU(.known(GPUSample(gpus: [GPU(uuid: "GPU-a", utilization: 3)])))
            let idle = fixture.handle(.get("/health"))
            #expect(idle.status == 200)
            #expect(idle.text.contains(#""is_busy":false"#) && idle.text.contains(#""utilization":3"#))
            fixture.setGPU(.unknown(reason: "driver gone", last: Self.sample))
            let unknown = fixture.handle(.get("/health"))
            #expect(unknown.status == 503)
            #expect(unknown.text.contains(#""errors":["gpu: driver gone"]"#) && unknown.text.contains(#""id":"m""#))
            fixture.setGPU(.absent)
            #expect(fixture.handle(.get("/health")).text.contains(#""gpu":null"#))
            #expect(fixture.engine.requests.count == 1)
        }
    }

    /// `/busy` and `/health` of the same moment: false means idle, and a reason of the GPU's means busy.
    @Test(arguments: [
        (BusyVerdict.idle, 0, false), (.busy, 0, true), (.unknown("why"), 0, true), (.unreadable, 0, false),
        // A request runs, in the only place there is.
        (.idle, 1, false), (.unreadable, 1, true), (.busy, 1, true),
    ])
    func isBusyAgreesWithBusy(verdict: BusyVerdict, inFlight: Int, isBusy: Bool) async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.server.maxInFlight = 1 }, status: .known(Self.sample), engine: Self.models)
            func check() {
                fixture.setGPU(verdict)
                let busy = fixture.handle(.get("/busy")).text
                #expect(fixture.handle(.get("/health")).text.contains(#""is_busy":\#(isBusy)"#), "\(busy)")
                #expect(busy.contains(#""reason":"gpu_"#) == isBusy)
                #expect(isBusy || busy == #"{"busy":false}"# || busy.contains("too_many_requests_in_flight"))
            }
            fixture.setGPU(.idle)
            if inFlight == 0 { check() } else { try fixture.admission.withPlace { _ in check() } }
        }
    }

    /// A sample that has let in as many as it may is a reason of the GPU's.
    @Test func aUsedUpSampleIsBusy() async throws {
        try await onThread {
            let fixture = try PipelineFixture(
                configure: { $0.gpu.admitPerSample = 1 }, gpu: .idle, sample: 7, status: .known(Self.sample),
                engine: Self.models)
            #expect(fixture.handle(.get("/health")).text.contains(#""is_busy":false"#))
            try fixture.admission.withPlace { _ in }
            #expect(fixture.handle(.get("/busy")).text == #"{"busy":true,"reason":"gpu_busy"}"#)
            #expect(fixture.handle(.get("/health")).text.contains(#""is_busy":true"#))
        }
    }

    @Test func slowIsNotDown() async throws {
        try await onThread {
            let slow = try PipelineFixture(engine: { try $0.connection.waitForHangUp() })
            let silent = slow.handle(.get("/health"))
            #expect(silent.status == 503)
            #expect(silent.text.contains(#""errors":["engine: has not responded yet: no response from "#))
            #expect(!silent.text.contains("is down"))
            let down = try PipelineFixture()
            down.engine.stop()
            let refused = down.handle(.get("/health"))
            #expect(refused.status == 503)
            #expect(refused.text.contains(#""errors":["engine: cannot connect: "#))
            #expect(refused.text.contains("(\(down.engine.url) is down or cannot be reached)"))
            #expect(!refused.text.contains("not responded"))
        }
    }

    /// In the log when it begins and when it is over.
    @Test func aHostThatOllamaRefuses() async throws {
        try await onThread {
            let isTaken = SharedValue(false)
            let fixture = try PipelineFixture(
                freshness: .zero,
                engine: { request in
                    if isTaken.value { return try Self.models(request) }
                    try request.respond(403, "")
                })
            let words = "Ollama refuses the Host \(fixture.engine.url.dropFirst(7)); use localhost or an address"
            for _ in 0..<3 {
                let response = fixture.handle(.get("/health"))
                #expect(response.status == 503)
                #expect(response.text.contains(words))
            }
            #expect(fixture.log.count(containing: words) == 1)
            isTaken.value = true
            for _ in 0..<3 { #expect(fixture.handle(.get("/health")).status == 200) }
            #expect(fixture.log.count(containing: "engine: lists its models again") == 1)
        }
    }

    /// Beside ngrok's, and only where the configuration names cloudflared.
    @Test(arguments: ["", "https://a.trycloudflare.com"])
    func cloudflaresTunnel(url: String) async throws {
        try await onThread {
            let response = try respond(.absent, configure: { $0.cloudflare.url = url })
            let key = url.isEmpty ? "" : #""cloudflare":{"url":"\#(url)"},"#
            #expect(
                response.text
                    == "{" + key
                    + #""data":[{"created":1,"id":"m","object":"model","owned_by":"library"}],"gpu":null,"#
                    + #""ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}"#)
        }
    }

    @Test func theEngineIsAskedOnceHoweverManyAsk() async throws {
        try await onThread {
            let arrived = Gate()
            let release = Gate()
            let fixture = try PipelineFixture(engine: { request in
                arrived.open()
                try release.wait()
                try request.respond(200, #"{"data":[]}"#)
            })
            let group = DispatchGroup()
            let served = Counter()
            for _ in 0..<20 {
                DispatchQueue.global().async(group: group) {
                    let response = fixture.handle(.get("/health"))
                    // Four requests may wait for the collecting request; further requests are refused at once.
                    if response.status == 200 {
                        _ = served.next()
                    } else {
                        #expect(response.status == 503 && response.text.contains("engine: has not responded yet"))
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
                    if questions.next() == 0 { return try request.respond(200, #"{"data":[{"id":"m"}]}"#) }
                    hanging.open()
                    try request.connection.waitForHangUp()
                })
            #expect(fixture.handle(.get("/health")).status == 200)
            Thread.detachNewThread { fixture.handle(.get("/health")) }
            try hanging.wait()
            let response = fixture.handle(.get("/health"))
            #expect(response.status == status)
            #expect(response.text.contains(#""id":"m""#) == (status == 200))
            #expect(response.text.contains("errors") == (status == 503))
        }
    }
}
