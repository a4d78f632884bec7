import Testing

@testable import ProviderHandlers

/// Whose word counts, in every order of events.
@Suite("NVML or nvidia-smi")
struct SourceChoiceTests {
    private let start = ContinuousClock.now
    private let fast = GPUSample(
        gpus: [GPU(productName: "A", uuid: "GPU-a", utilization: 90, memoryTotal: 10)], driverVersion: "1.2",
        cudaVersion: "3.4", origin: .nvml)
    private let slow = GPUSample(
        gpus: [GPU(productName: "A", uuid: "GPU-a", utilization: 5, memoryTotal: 10, temperature: 40, power: 26)],
        driverVersion: "1.2", cudaVersion: "3.4")
    /// NVML's sample with the details of the other.
    private let merged = GPUSample(
        gpus: [GPU(productName: "A", uuid: "GPU-a", utilization: 90, memoryTotal: 10, temperature: 40, power: 26)],
        driverVersion: "1.2", cudaVersion: "3.4", origin: .nvml)
    private let missing = NvidiaSMIError.missing(program: "nvidia-smi", reason: "not found on PATH")
    private let broken = NvidiaSMIError.noSample(.noDocument(words: "Driver gone"), .exited(9))

    private func state(_ source: Configuration.GPUSource = .auto) -> SamplerState {
        var configuration = Configuration.GPU()
        configuration.source = source
        return SamplerState(configuration)
    }

    private var lost: GPUSample {
        var sample = fast
        sample.gpus[0].fault = "GPU is lost"
        return sample
    }

    /// A run of nvidia-smi that begins and ends at a time.
    private func run(
        _ state: inout SamplerState, _ result: Result<GPUSample, NvidiaSMIError>, at time: ContinuousClock.Instant
    ) {
        _ = state.begin(at: time)
        _ = state.end(result, at: time)
    }

    @Test("NVML's word counts while it is fresh, with nvidia-smi's details")
    func fresh() {
        var state = state()
        _ = state.take(.sample(fast), at: start)
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .known(fast))
        run(&state, .success(slow), at: start + .seconds(1))
        #expect(state.status(at: start + .seconds(1)) == .known(fast))
        #expect(state.needsOnlyDetails(at: start + .seconds(1)))
        _ = state.take(.sample(fast), at: start + .seconds(1))
        #expect(state.status(at: start + .seconds(1)) == .known(merged))
        // A failing nvidia-smi changes nothing but, in time, the details.
        run(&state, .failure(broken), at: start + .seconds(2))
        _ = state.take(.sample(fast), at: start + .seconds(2))
        #expect(state.status(at: start + .seconds(2)) == .known(merged))
        _ = state.take(.sample(fast), at: start + .seconds(62))
        #expect(state.status(at: start + .seconds(62)) == .known(fast))
    }

    @Test("what is not known yet is not taken for absent", arguments: [true, false])
    func beginning(isNVMLFirst: Bool) {
        var state = state()
        #expect(state.isFirst)
        if isNVMLFirst {
            _ = state.take(.missing("no library"), at: start)
            #expect(state.isFirst)
            #expect(state.status(at: start) == .unknown(reason: "nvidia-smi has not answered yet", last: nil))
            run(&state, .failure(missing), at: start)
        } else {
            run(&state, .failure(missing), at: start)
            #expect(state.isFirst)
            #expect(state.status(at: start) == .unknown(reason: "NVML has not answered yet", last: nil))
            _ = state.take(.missing("no library"), at: start)
        }
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .absent)
    }

    @Test("nvidia-smi decides before NVML has spoken, and for good where it is missing")
    func nvidiaSMIFirst() {
        var state = state()
        run(&state, .success(slow), at: start)
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .known(slow))
        let lines = state.take(.missing("no\nlibrary"), at: start)
        #expect(lines == [.init(isProblem: false, text: "GPUs are not read through NVML: no; library")])
        #expect(state.status(at: start) == .known(slow))
    }

    @Test("one that fails at the start leaves the other its time")
    func failureAtStart() {
        var state = state()
        _ = state.take(.failure("NVML: bad"), at: start)
        #expect(state.isFirst)
        run(&state, .success(slow), at: start)
        #expect(state.status(at: start) == .known(slow))
        var other = self.state()
        run(&other, .failure(broken), at: start)
        #expect(other.isFirst)
        _ = other.take(.sample(fast), at: start)
        #expect(!other.isFirst)
        #expect(other.status(at: start) == .known(fast))
    }

    @Test("when NVML fails, its last sample counts until nvidia-smi has looked, or until it is too old")
    func takeover() {
        var state = state()
        run(&state, .success(slow), at: start)
        _ = state.take(.sample(fast), at: start + .seconds(1))
        let lines = state.take(.failure("NVML crashed"), at: start + .seconds(2))
        #expect(lines == [.init(isProblem: true, text: "NVML crashed; nvidia-smi takes over")])
        #expect(!state.needsOnlyDetails(at: start + .seconds(2)))
        #expect(state.status(at: start + .seconds(2)) == .known(merged))
        // However often NVML fails again.
        run(&state, .success(slow), at: start + .seconds(3))
        _ = state.take(.failure("NVML crashed"), at: start + .seconds(4))
        #expect(state.status(at: start + .seconds(4)) == .known(slow))
        run(&state, .failure(broken), at: start + .seconds(5))
        #expect(
            state.status(at: start + .seconds(5))
                == .unknown(reason: "nvidia-smi exited with 9: Driver gone", last: slow))
        #expect(state.take(.sample(fast), at: start + .seconds(6)).map(\.isProblem) == [false, false])
        #expect(state.status(at: start + .seconds(6)) == .known(merged))
    }

    @Test("without nvidia-smi its last sample counts until it is too old; absence is then no absence of GPUs")
    func alone() {
        var state = state()
        run(&state, .failure(missing), at: start)
        _ = state.take(.sample(fast), at: start)
        _ = state.take(.failure("NVML crashed"), at: start + .seconds(1))
        run(&state, .failure(missing), at: start + .seconds(2))
        #expect(state.status(at: start + .seconds(10)) == .known(fast))
        #expect(state.status(at: start + .seconds(11)) == .unknown(reason: "NVML crashed", last: fast))
        _ = state.take(.missing("no library"), at: start + .seconds(12))
        #expect(state.status(at: start + .seconds(12)) == .unknown(reason: "NVML: no library", last: fast))
    }

    @Test(
        "a sign of a GPU counts only once NVML is missing as well, and then both are named", arguments: [true, false])
    func sign(isNVMLFirst: Bool) {
        var state = state()
        let unseen = NvidiaSMIError.missing(
            program: "nvidia-smi", reason: "not found on PATH", sign: GPUSign(description: "/dev/nvidia0 is there"))
        if isNVMLFirst { _ = state.take(.missing("no library"), at: start) }
        run(&state, .failure(unseen), at: start)
        if !isNVMLFirst {
            #expect(state.isFirst)
            #expect(state.status(at: start) == .unknown(reason: "NVML has not answered yet", last: nil))
            _ = state.take(.missing("no library"), at: start)
        }
        #expect(!state.isFirst)
        let reason =
            "no GPU is found although /dev/nvidia0 is there: nvidia-smi: not found on PATH; NVML: no library"
        #expect(state.status(at: start) == .unknown(reason: reason, last: nil))
        // What NVML shows later counts.
        _ = state.take(.sample(fast), at: start + .seconds(1))
        #expect(state.status(at: start + .seconds(1)) == .known(fast))
        run(&state, .failure(unseen), at: start + .seconds(2))
        _ = state.take(.failure("NVML crashed"), at: start + .seconds(2))
        #expect(state.status(at: start + .seconds(10)) == .known(fast))
    }

    @Test("silence without a word is noticed by itself")
    func silence() {
        var state = state()
        _ = state.take(.sample(fast), at: start)
        #expect(state.needsOnlyDetails(at: start + .seconds(2)))
        #expect(!state.needsOnlyDetails(at: start + .milliseconds(2001)))
        #expect(state.status(at: start + .seconds(10)) == .known(fast))
        #expect(state.status(at: start + .seconds(11)) == .unknown(reason: "NVML is silent", last: fast))
    }

    @Test("a GPU that is lost makes the state unknown at once, until nvidia-smi has looked since and found it well")
    func verdict() {
        var state = state()
        run(&state, .success(slow), at: start)
        _ = state.take(.sample(fast), at: start)
        let lines = state.take(.sample(lost), at: start + .seconds(1))
        #expect(lines == [.init(isProblem: true, text: "GPU state unknown: GPU 0 (GPU-a): GPU is lost")])
        guard case .unknown("GPU 0 (GPU-a): GPU is lost", _?) = state.status(at: start + .seconds(1)) else {
            Issue.record("\(state.status(at: start + .seconds(1)))")
            return
        }
        // A run that had begun before tells nothing of it.
        var early = state
        run(&early, .success(slow), at: start + .milliseconds(999))
        guard case .unknown = early.status(at: start + .seconds(1)) else {
            Issue.record("an older run counted")
            return
        }
        run(&state, .success(slow), at: start + .seconds(2))
        #expect(state.status(at: start + .seconds(2)) == .known(slow))
    }

    @Test("a GPU that only one of the two no longer lists is lost all the same")
    func vanished() {
        var state = state()
        run(&state, .success(slow), at: start)
        var empty = fast
        empty.gpus[0].uuid = "GPU-other"
        _ = state.take(.sample(empty), at: start + .seconds(1))
        guard case .unknown("GPU 0 (GPU-a): NVML no longer lists it", _) = state.status(at: start + .seconds(1)) else {
            Issue.record("\(state.status(at: start + .seconds(1)))")
            return
        }
    }

    @Test("source nvml: nvidia-smi only tells details")
    func onlyNVML() {
        var state = state(.nvml)
        run(&state, .success(slow), at: start)
        #expect(state.isFirst)
        #expect(state.status(at: start) == .unknown(reason: "NVML has not answered yet", last: nil))
        _ = state.take(.missing("no library"), at: start)
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .unknown(reason: "NVML: no library", last: nil))
        _ = state.take(.sample(fast), at: start)
        #expect(state.status(at: start) == .known(merged))
        #expect(
            state.take(.failure("NVML crashed"), at: start + .seconds(1))
                == [.init(isProblem: true, text: "NVML crashed")])
        run(&state, .success(slow), at: start + .seconds(11))
        guard case .unknown("NVML crashed", _) = state.status(at: start + .seconds(11)) else {
            Issue.record("nvidia-smi decided")
            return
        }
    }

    @Test("samples are counted where they decide")
    func counting() {
        var state = state()
        run(&state, .success(slow), at: start)
        #expect(state.samples == 1)
        _ = state.take(.sample(fast), at: start)
        #expect(state.samples == 2)
        run(&state, .success(slow), at: start)
        #expect(state.samples == 2)
        run(&state, .success(slow), at: start + .seconds(3))
        #expect(state.samples == 3)
        run(&state, .failure(broken), at: start + .seconds(4))
        #expect(state.samples == 3)
    }
}
