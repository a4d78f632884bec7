import TestSupport
import Testing

/// Admission by what nvidia-smi says, from the fake one on PATH to the client's response.
@Suite struct GPUEndToEndTests {
    @Test(arguments: [("20 %", false), ("20.9 %", false), ("21 %", true), ("100 %", true), ("04 %", false)])
    func theThresholdIsStrict(utilization: String, isBusy: Bool) async throws {
        let deployment = try await Deployment(gpu: .utilization(utilization))
        try await onThread {
            let busy = try deployment.fetch("GET", "/busy").body
            #expect(busy == (isBusy ? #"{"busy":true,"reason":"gpu_busy"}"# : #"{"busy":false}"#))
            let response = try deployment.complete()
            #expect(response.status == (isBusy ? 503 : 200))
            #expect(response.body.contains("gpu_busy") == isBusy)
            #expect(response.head["Retry-After"] == (isBusy ? "1" : nil))
        }
    }

    @Test func aChangeIsSeenAndNoRequestAsksNvidiaSMI() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_GPU_SAMPLE_INTERVAL": "3600", "PROVIDER_GPU_MAX_SAMPLE_AGE": "7200"],
            gpu: .utilization("0 %"))
        try await onThread {
            for _ in 0..<20 { _ = try deployment.complete() }
            #expect(deployment.gpu?.runs == 1)
        }
        let quick = try await Deployment(gpu: .utilization("0 %"))
        try await onThread {
            for (utilization, body) in [
                ("50 %", #"{"busy":true,"reason":"gpu_busy"}"#), ("1 %", #"{"busy":false}"#),
            ] {
                try quick.gpu?.set(.utilization(utilization))
                try quick.waitUntil("\(utilization) is seen") { try quick.fetch("GET", "/busy").body == body }
            }
        }
    }

    @Test func aDriverFailsAndRecovers() async throws {
        let deployment = try await Deployment(gpu: .utilization("0 %"))
        try await onThread {
            let unknown = #"{"busy":true,"reason":"gpu_unknown"}"#
            let words = "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."
            try deployment.gpu?.set(.fails(words))
            try deployment.waitUntil("the failure is seen") { try deployment.fetch("GET", "/busy").body == unknown }
            #expect(try deployment.complete().body.contains(#""code":"gpu_unknown""#))
            let health = try deployment.fetch("GET", "/health")
            #expect(health.status == 503)
            #expect(health.body.contains(words))
            #expect(deployment.worker.standardError.contains(words))
            try deployment.gpu?.set(.utilization("0 %"))
            try deployment.waitUntil("the recovery is seen") { try deployment.complete().status == 200 }
        }
    }

    @Test func aHangingNvidiaSMIBlocksNoRequest() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_GPU_MAX_SAMPLE_AGE": "0.2"], gpu: .utilization("0 %"))
        try await onThread {
            try deployment.gpu?.set(.hangs)
            try deployment.waitUntil("it hangs") { (deployment.gpu?.hangs ?? 0) > 0 }
            try deployment.waitUntil("the sample is too old") {
                try deployment.fetch("GET", "/busy").body.contains("gpu_unknown")
            }
            for _ in 0..<20 { #expect(try deployment.complete().status == 503) }
            try deployment.gpu?.set(.utilization("0 %"))
            try deployment.waitUntil("the hanging one is killed") { try deployment.complete().status == 200 }
        }
    }

    @Test func aGPUThatTellsNothingTakesOneAtATime() async throws {
        let asked = Gate()
        let finish = Gate()
        let deployment = try await Deployment(
            gpu: .utilization("N/A"),
            engine: { request in
                asked.open()
                try finish.wait()
                try request.respond(200, "{}")
            })
        try await onThread {
            let first = try deployment.startCompletion()
            try asked.wait()
            #expect(try deployment.complete().body.contains(#""code":"gpu_busy""#))
            #expect(try deployment.fetch("GET", "/busy").body.contains("gpu_busy"))
            finish.open()
            #expect(try first.response().status == 200)
            try deployment.waitUntil("its place is free") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
        }
    }

    @Test func theStartSaysWhatWasFound() async throws {
        let deployment = try await Deployment(gpu: .utilization("0 %"))
        #expect(deployment.worker.standardError.contains("NVIDIA Test 4000"))
        let idle = try await Deployment()
        #expect(idle.worker.standardError.contains("NVIDIA Idle 1000"))
        let status = try await onThread { try idle.complete().status }
        #expect(status == 200)
    }
}
