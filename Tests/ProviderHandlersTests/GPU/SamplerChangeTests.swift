import TestSupport
import Testing

@testable import ProviderHandlers

/// Another configuration while the sampler runs.
@Suite("Sampler change", .timeLimit(.minutes(2)))
struct SamplerChangeTests {
    private let start = ContinuousClock.now
    private let sample = GPUSample(
        gpus: [GPU(uuid: "GPU-a", utilization: 1), GPU(uuid: "GPU-b", utilization: 99)], attachedGPUs: 2)
    private let missing = NvidiaSMIError.missing(program: "other", reason: "not found on PATH")

    private func configuration(_ change: (inout Configuration.GPU) -> Void = { _ in }) -> Configuration.GPU {
        var configuration = Configuration.GPU()
        change(&configuration)
        return configuration
    }

    private func sampled() -> SamplerState {
        var state = SamplerState(configuration(), isPath: false)
        _ = state.begin(at: start)
        _ = state.end(.success(sample), at: start)
        return state
    }

    private func gpus(_ state: SamplerState) -> [String?]? {
        if case .known(let sample) = state.status(at: start) { sample.gpus.map(\.uuid) } else { nil }
    }

    @Test func anotherSelectionHoldsAtOnce() {
        var state = sampled()
        #expect(state.change(to: configuration { $0.devices = ["1"] }, isPath: false) != nil)
        #expect(gpus(state) == ["GPU-b"])
        #expect(state.change(to: configuration { $0.devices = ["GPU-c"] }, isPath: false)?.isProblem == true)
        #expect(gpus(state) == nil)
        #expect(state.change(to: configuration(), isPath: false)?.isProblem == false)
        #expect(gpus(state) == ["GPU-a", "GPU-b"])
    }

    @Test func aSelectionFromAFailureStaysAFailure() {
        var state = sampled()
        _ = state.end(.failure(.unkillable), at: start)
        #expect(state.change(to: configuration { $0.devices = ["1"] }, isPath: false) == nil)
        #expect(state.status(at: start) == .unknown(reason: "nvidia-smi hangs and cannot be killed", last: sample))
    }

    @Test func anotherAgeHoldsAtOnce() {
        var state = sampled()
        _ = state.change(to: configuration { $0.maxSampleAge = .seconds(1) }, isPath: false)
        #expect(state.status(at: start + .seconds(1)) == .known(sample))
        #expect(state.status(at: start + .seconds(2)) != .known(sample))
    }

    @Test func whatIsKnownStaysUntilAnotherProgramHasTold() {
        var state = sampled()
        _ = state.begin(at: start)
        _ = state.change(to: configuration { $0.nvidiaSMI = "other" }, isPath: false)
        #expect(gpus(state) == ["GPU-a", "GPU-b"])
        // The end of a run of the old one tells nothing.
        #expect(state.end(.failure(.unkillable), at: start) == nil)
        #expect(gpus(state) == ["GPU-a", "GPU-b"])
        _ = state.begin(at: start)
        // There has been no such program since it was named.
        _ = state.end(.failure(missing), at: start)
        #expect(state.status(at: start) == .absent)
    }

    @Test func theNextStepIsDue() {
        var state = SamplerState(configuration(), isPath: false)
        func due() -> Duration? { state.nextStep(hangLimit: .seconds(6), maxPause: .seconds(5)) }
        #expect(due() == .seconds(5))
        let run = state.begin(at: start)
        #expect(due() == .seconds(6))
        _ = state.hang(run: run, at: start)
        #expect(due() == nil)
        _ = state.end(.success(sample), at: start)
        #expect(due() == .seconds(5))
        #expect(state.steps == 3)
    }

    @Test func theNextRunComesAtOnceAndAsConfigured() async throws {
        let first = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.twoGPUs("7 %", "90 %")))
        let second = try FakeNvidiaSMI(FakeNvidiaSMI.printing(Documents.twoGPUs("8 %", "9 %")))
        var settings = configuration {
            $0.nvidiaSMI = first.path
            $0.sampleInterval = .seconds(86_400)
            $0.maxSampleAge = .seconds(86_400)
        }
        let sampler = GPUSampler(
            reader: first.reader(settings), configuration: settings, logger: RecordingLog().logger,
            hangLimit: .seconds(600))
        sampler.start()
        defer { sampler.stop() }
        try await eventually("the first run") { sampler.progress.steps == 2 }
        #expect(sampler.verdict == .busy)
        settings.busyThreshold = 95
        sampler.change(to: settings)
        #expect(sampler.verdict == .idle)
        try await eventually("a run at once") { first.runs == 2 && sampler.progress.steps == 4 }
        settings.busyThreshold = 8
        settings.nvidiaSMI = second.path
        sampler.change(to: settings)
        try await eventually("a run of the other program") { second.runs == 1 && sampler.progress.steps == 6 }
        #expect(first.runs == 2)
        #expect(sampler.verdict == .busy)
        guard case .known(let sample) = sampler.status else {
            Issue.record("\(sampler.status)")
            return
        }
        #expect(sample.gpus.map(\.utilization) == [8, 9])
    }
}
