import Foundation
import TestSupport
import Testing

/// Admission by what NVML says: the worker, its child and a library of our own.
@Suite struct NVMLEndToEndTests {
    /// The child that reads NVML, by its command line.
    private func probe(of worker: ChildProcess) -> pid_t? {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { pid_t($0) }.first { process in
            let status = FileManager.default.contents(atPath: "/proc/\(process)/stat") ?? Data()
            // "number (name) state parent …"; the name may hold anything.
            let fields = String(decoding: status, as: UTF8.self).components(separatedBy: ") ").last?.split(
                separator: " ")
            guard let fields, fields.count > 1, pid_t(fields[1]) == worker.pid else { return false }
            let line = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
            return String(decoding: line, as: UTF8.self).contains("--nvml-probe")
        }
    }

    @Test func busyFollowsNVML() async throws {
        let fake = try FakeNVML("gpu0.utilization 20")
        let deployment = try await Deployment(nvml: fake)
        #expect(deployment.worker.standardError.contains("GPUs are read through NVML"))
        try await onThread {
            #expect(try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#)
            #expect(try deployment.complete().status == 200)
            for (utilization, body) in [
                ("21", #"{"busy":true,"reason":"gpu_busy"}"#), ("0", #"{"busy":false}"#),
                ("!15", #"{"busy":true,"reason":"gpu_unknown"}"#), ("3", #"{"busy":false}"#),
            ] {
                try fake.set("gpu0.utilization \(utilization)")
                try deployment.waitUntil("\(utilization) is seen") { try deployment.fetch("GET", "/busy").body == body }
            }
        }
    }

    /// The library gives no further sample: completions get in by the existing samples.
    @Test func aBurstBetweenTwoSamples() async throws {
        let fake = try FakeNVML("gpu0.utilization 0\nallow 2")
        let deployment = try await Deployment(
            settings: ["PROVIDER_GPU_ADMIT_PER_SAMPLE": "2", "PROVIDER_GPU_MAX_SAMPLE_AGE": "3600"], nvml: fake)
        try await onThread {
            try deployment.waitUntil("two samples") { fake.samples >= 2 }
            // At a utilization of 0 nothing else makes it busy.
            try deployment.waitUntil("both are used up") {
                _ = try deployment.complete()
                return try deployment.fetch("GET", "/busy").body == #"{"busy":true,"reason":"gpu_busy"}"#
            }
            try fake.set("gpu0.utilization 0\nallow 1000000")
            try deployment.waitUntil("the next sample") { try deployment.complete().status == 200 }
        }
    }

    @Test func theReportHasTheNumbersOfNVMLAndTheDetailsOfNvidiaSMI() async throws {
        let fake = try FakeNVML("gpu0.utilization 77\ngpu0.uuid GPU-00000000-1111-2222-3333-444444444444\ngpu0.used 99")
        let deployment = try await Deployment(gpu: .utilization("1 %"), nvml: fake)
        try await onThread {
            try deployment.waitUntil("both are in") {
                let body = try deployment.fetch("GET", "/health").body
                return body.contains(#""utilization":77"#) && body.contains(#""memory_used":99"#)
                    && body.contains(#""temperature":40"#)
            }
            // By itself nvidia-smi runs every 30 s, twice at most until this gives up.
            let runs = deployment.gpu?.runs ?? 0
            try deployment.waitUntil("each look asks for details") {
                _ = try deployment.fetch("GET", "/health")
                return (deployment.gpu?.runs ?? 0) > runs + 3
            }
        }
    }

    @Test func aHangingNVMLBlocksNoRequest() async throws {
        let fake = try FakeNVML("gpu0.utilization hang")
        let deployment = try await Deployment(gpu: .utilization("0 %"), nvml: fake)
        try await eventually("it hangs") { fake.samples >= 1 }
        try await onThread {
            for _ in 0..<20 {
                let status = try deployment.complete().status
                #expect(status == 200)
            }
        }
    }

    @Test func sourceNVMLWithoutNVMLIsUnknown() async throws {
        let deployment = try await Deployment(
            settings: ["PROVIDER_GPU_SOURCE": "nvml"], gpu: .utilization("0 %"), nvml: try FakeNVML(nil))
        try await onThread {
            let refusal = try deployment.complete().body
            #expect(refusal.contains(#""code":"gpu_unknown""#))
            let health = try deployment.fetch("GET", "/health").body
            #expect(health.contains("libnvidia-ml.so.1"))
        }
    }

    /// Also when it is not asked: the child sees its standard input end.
    @Test(arguments: [SIGTERM, SIGKILL]) func theChildEndsWithTheWorker(signal: CInt) async throws {
        let fake = try FakeNVML("gpu0.mig hang")
        let deployment = try await Deployment(gpu: .utilization("0 %"), nvml: fake)
        try await eventually("NVML hangs") { fake.samples >= 1 }
        try await eventually("the child has begun") { probe(of: deployment.worker) != nil }
        let child = try #require(probe(of: deployment.worker))
        let environment = FileManager.default.contents(atPath: "/proc/\(child)/environ") ?? Data()
        #expect(!String(decoding: environment, as: UTF8.self).contains("PROVIDER_"))
        deployment.worker.send(signal: signal)
        try await deployment.worker.waitForExit()
        try await eventually("the child has ended") { !isAlive(child) }
    }
}
