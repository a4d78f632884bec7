import Testing

@testable import ProviderHandlers

@Suite("Sampler state")
struct SamplerStateTests {
    private let start = ContinuousClock.now
    private let limit = Duration.seconds(6)
    private let sample = GPUSample(
        gpus: [
            GPU(productName: "A", uuid: "GPU-a", utilization: 1, memoryTotal: 10),
            GPU(index: 1, productName: "B", uuid: "GPU-b", isMIG: true),
        ], driverVersion: "1.2", cudaVersion: "3.4", attachedGPUs: 2)
    private let missing = NvidiaSMIError.missing(program: "nvidia-smi", reason: "not found on PATH")
    private let broken = NvidiaSMIError.noSample(.noDocument(words: "Driver gone"), .exited(9))

    private func state(devices: [String] = []) -> SamplerState {
        var configuration = Configuration.GPU()
        configuration.source = .nvidiaSMI
        configuration.devices = devices
        return SamplerState(configuration)
    }

    @Test("before the first run has ended nothing is known")
    func beginning() {
        var state = state()
        state.begin(at: start)
        #expect(state.isFirst)
        #expect(state.status(at: start) == .unknown(reason: "nvidia-smi has not responded yet", last: nil))
    }

    @Test("no nvidia-smi since the start is no GPU, however long ago it was looked for")
    func absent() {
        var state = state()
        #expect(
            state.end(.failure(missing), at: start)
                == .init(isProblem: false, text: "no GPU: nvidia-smi: not found on PATH"))
        #expect(!state.isFirst)
        #expect(state.end(.failure(missing), at: start + .seconds(1)) == nil)
        #expect(state.status(at: start + .seconds(86400)) == .absent)
    }

    @Test("missing although something speaks for a GPU, the state is unknown")
    func missingWithASign() {
        var state = state()
        let error = NvidiaSMIError.missing(
            program: "/opt/nvidia-smi", reason: "No such file or directory", sign: GPUSign(description: "so and so"))
        let reason = "no GPU is found although so and so: /opt/nvidia-smi: No such file or directory"
        #expect(state.end(.failure(error), at: start) == .init(isProblem: true, text: "GPU state unknown: \(reason)"))
        #expect(state.status(at: start) == .unknown(reason: reason, last: nil))
    }

    @Test("missing once it has been there is a failure", arguments: [true, false])
    func gone(hadWorked: Bool) {
        var state = state()
        _ = state.end(hadWorked ? .success(sample) : .failure(broken), at: start)
        #expect(state.end(.failure(missing), at: start) != nil)
        #expect(
            state.status(at: start)
                == .unknown(reason: "nvidia-smi: not found on PATH", last: hadWorked ? sample : nil))
    }

    @Test("found later, it counts from then on")
    func foundLater() {
        var state = state()
        _ = state.end(.failure(missing), at: start)
        #expect(state.end(.success(sample), at: start) != nil)
        #expect(state.status(at: start) == .known(sample))
    }

    @Test("a sample grows too old by itself")
    func age() {
        var state = state()
        _ = state.end(.success(sample), at: start)
        #expect(state.status(at: start + .seconds(10)) == .known(sample))
        let late = start + .milliseconds(10_001)
        #expect(state.status(at: late) == .unknown(reason: "the newest GPU sample is 10 s old", last: sample))
        state.begin(at: start + .seconds(4))
        #expect(
            state.status(at: late)
                == .unknown(
                    reason: "the newest GPU sample is 10 s old, nvidia-smi has been running for 6 s", last: sample))
    }

    @Test("a failure counts at once, and recovery too")
    func failureAndRecovery() {
        var state = state()
        _ = state.end(.success(sample), at: start)
        let problem = state.end(.failure(broken), at: start)
        #expect(problem == .init(isProblem: true, text: "GPU state unknown: nvidia-smi exited with 9: Driver gone"))
        #expect(state.status(at: start) == .unknown(reason: "nvidia-smi exited with 9: Driver gone", last: sample))
        #expect(state.end(.failure(broken), at: start) == nil)
        #expect(state.end(.success(sample), at: start)?.isProblem == false)
        #expect(state.status(at: start) == .known(sample))
    }

    @Test("a run that hangs is a failure until it ends after all")
    func hang() {
        var state = state()
        state.begin(at: start)
        #expect(
            state.hang(at: start + limit, limit: limit)
                == .init(isProblem: true, text: "GPU state unknown: nvidia-smi hangs and cannot be killed"))
        #expect(state.status(at: start) == .unknown(reason: "nvidia-smi hangs and cannot be killed", last: nil))
        // It has been there, so its absence no longer means a machine without GPUs.
        #expect(state.end(.failure(missing), at: start)?.isProblem == true)
        #expect(state.end(.success(sample), at: start)?.isProblem == false)
    }

    @Test("a run hangs once its limit is over, and is found to hang once")
    func overdue() {
        var state = state()
        state.begin(at: start)
        _ = state.end(.success(sample), at: start)
        #expect(state.hang(at: start + limit, limit: limit) == nil)
        state.begin(at: start)
        #expect(state.hang(at: start + limit - .milliseconds(1), limit: limit) == nil)
        #expect(state.status(at: start) == .known(sample))
        #expect(state.hang(at: start + limit, limit: limit) != nil)
        #expect(!state.isOverdue(at: start + limit, limit: limit))
    }

    @Test("GPUs are narrowed to the selected GPUs, and an absent GPU is named")
    func selection() {
        var state = state(devices: ["GPU-b"])
        let announcement = state.end(.success(sample), at: start)
        #expect(announcement?.text == "found 1 GPU of 2, driver 1.2, CUDA 3.4: B GPU-b MIG")
        var selected = sample
        selected.gpus = [sample.gpus[1]]
        #expect(state.status(at: start) == .known(selected))

        var lost = sample
        lost.gpus = [sample.gpus[0]]
        let reason = "gpu.devices: \"GPU-b\" is not among the 1 GPUs that nvidia-smi lists"
        #expect(state.end(.success(lost), at: start) == .init(isProblem: true, text: "GPU state unknown: \(reason)"))
        lost.gpus = []
        #expect(state.status(at: start) == .unknown(reason: reason, last: lost))
        #expect(state.end(.success(sample), at: start) == announcement)
    }

    @Test("only what does not change from sample to sample is announced")
    func announcements() {
        var state = state()
        var sample = sample
        #expect(
            state.end(.success(sample), at: start)?.text
                == "found 2 GPUs, driver 1.2, CUDA 3.4: A GPU-a 10 MiB; B GPU-b MIG")
        sample.gpus[0].utilization = 99
        sample.gpus[0].memoryUsed = 5
        #expect(state.end(.success(sample), at: start) == nil)
        sample.attachedGPUs = 3
        #expect(
            state.end(.success(sample), at: start)?.text
                == "found 2 GPUs (nvidia-smi counts 3), driver 1.2, CUDA 3.4: A GPU-a 10 MiB; B GPU-b MIG")
    }

    @Test("a GPU that is no longer listed makes the state unknown until it is back")
    func vanished() {
        var state = state()
        _ = state.end(.success(sample), at: start)
        var rest = sample
        rest.gpus.removeFirst()
        rest.gpus[0].index = 0
        let reason = "GPU 0 (GPU-a): nvidia-smi no longer lists it"
        #expect(state.end(.success(rest), at: start) == .init(isProblem: true, text: "GPU state unknown: \(reason)"))
        #expect(state.status(at: start) == .unknown(reason: reason, last: rest))
        #expect(state.end(.success(sample), at: start)?.isProblem == false)
        #expect(state.status(at: start) == .known(sample))
    }

    @Test("a GPU that is not selected may go")
    func vanishedOther() {
        var state = state(devices: ["GPU-b"])
        _ = state.end(.success(sample), at: start)
        var rest = sample
        rest.gpus.removeFirst()
        #expect(state.end(.success(rest), at: start)?.isProblem == false)
        #expect(state.status(at: start) == .known(rest))
    }

    @Test("selected by its position, a GPU does not give way to its successor")
    func movedUp() {
        var state = state(devices: ["0"])
        _ = state.end(.success(sample), at: start)
        var rest = sample
        rest.gpus.removeFirst()
        rest.gpus[0].index = 0
        #expect(
            state.end(.success(rest), at: start)?.text
                == "GPU state unknown: GPU 0 (GPU-a): nvidia-smi no longer lists it")
    }

    @Test("a GPU in trouble makes the state unknown, unless it is not selected")
    func fault() {
        var state = state()
        var sample = sample
        sample.gpus[1].fault = "GPU is lost"
        let reason = "GPU 1 (GPU-b): GPU is lost"
        #expect(state.end(.success(sample), at: start)?.text == "GPU state unknown: \(reason)")
        #expect(state.status(at: start) == .unknown(reason: reason, last: sample))
        var other = self.state(devices: ["GPU-a"])
        #expect(other.end(.success(sample), at: start)?.isProblem == false)
    }
}
