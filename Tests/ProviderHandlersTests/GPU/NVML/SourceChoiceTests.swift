import Testing

@testable import ProviderHandlers

/// The source that counts, in every order of events.
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
        state.begin(at: time)
        _ = state.end(result, at: time)
    }

    @Test("NVML's word counts while it is fresh, with nvidia-smi's details")
    func fresh() {
        var state = state()
        _ = state.take(.sample(fast), at: start)
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .known(fast))
        run(&state, .success(slow), at: start + .seconds(1))
        #expect(state.status(at: start + .seconds(1)) == .known(merged))
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
            #expect(state.status(at: start) == .unknown(reason: "nvidia-smi has not responded yet", last: nil))
            run(&state, .failure(missing), at: start)
        } else {
            run(&state, .failure(missing), at: start)
            #expect(state.isFirst)
            #expect(state.status(at: start) == .unknown(reason: "NVML has not responded yet", last: nil))
            _ = state.take(.missing("no library"), at: start)
        }
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .absent)
    }

    @Test("nvidia-smi decides before NVML's first word, and always where NVML is missing")
    func nvidiaSMIFirst() {
        var state = state()
        run(&state, .success(slow), at: start)
        #expect(!state.isFirst)
        #expect(state.status(at: start) == .known(slow))
        let lines = state.take(.missing("no\nlibrary"), at: start)
        #expect(lines == [.init(isProblem: false, text: "GPUs are not read through NVML: no; library")])
        #expect(state.status(at: start) == .known(slow))
    }

    @Test("a source that fails at the start leaves the other its time")
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
            #expect(state.status(at: start) == .unknown(reason: "NVML has not responded yet", last: nil))
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
        #expect(state.status(at: start) == .unknown(reason: "NVML has not responded yet", last: nil))
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
        let second = Duration.seconds(1)
        #expect(state.sample(at: start) == GPULook(number: 1, taken: start, spacing: second))
        _ = state.take(.sample(fast), at: start)
        let renewed = start - .milliseconds(200)
        #expect(state.sample(at: start) == GPULook(number: 2, shows: renewed))
        run(&state, .success(slow), at: start)
        #expect(state.sample(at: start) == GPULook(number: 2, shows: renewed))
        _ = state.take(.alive, at: start + .milliseconds(50))
        #expect(
            state.sample(at: start + .milliseconds(50))
                == GPULook(number: 3, shows: renewed + .milliseconds(50)))
        run(&state, .success(slow), at: start + .seconds(3))
        let look = GPULook(number: 4, taken: start + .seconds(3), spacing: second)
        #expect(state.sample(at: start + .seconds(3)) == look)
        run(&state, .failure(broken), at: start + .seconds(4))
        #expect(state.sample(at: start + .seconds(4)) == look)
    }

    @Test("a sample that grows old is no new one: NVML may hang")
    func hangingShowsNothing() {
        var state = state()
        _ = state.take(.sample(fast), at: start)
        let shows = start - .milliseconds(200)
        for age in [Duration.zero, .seconds(1), .seconds(3), .seconds(9)] {
            #expect(state.sample(at: start + age) == GPULook(number: 1, shows: shows))
        }
        _ = state.take(.failure("NVML crashed"), at: start + .seconds(3))
        #expect(state.sample(at: start + .seconds(4)) == GPULook(number: 1, shows: shows))
        run(&state, .success(slow), at: start + .seconds(5))
        let look = GPULook(number: 2, taken: start + .seconds(5), spacing: .seconds(1))
        #expect(state.sample(at: start + .seconds(5)) == look)
    }

    // MARK: Only signs of life

    @Test("signs of life keep the sample young")
    func alive() {
        var state = state()
        #expect(state.take(.alive, at: start).isEmpty)
        #expect(state.isFirst)
        _ = state.take(.sample(fast), at: start)
        var now = start
        for _ in 0..<300 {
            now += .milliseconds(200)
            #expect(state.take(.alive, at: now).isEmpty)
        }
        #expect(state.status(at: now) == .known(fast))
        #expect(state.needsOnlyDetails(at: now + .seconds(2)))
        #expect(!state.needsOnlyDetails(at: now + .milliseconds(2001)))
        #expect(state.status(at: now + .milliseconds(10_001)) == .unknown(reason: "NVML is silent", last: fast))
        // It speaks again.
        #expect(state.take(.alive, at: now + .seconds(11)).isEmpty)
        #expect(state.status(at: now + .seconds(11)) == .known(fast))
    }

    @Test("details come and go while NVML says nothing new")
    func detailsBetweenWords() {
        var state = state()
        _ = state.take(.sample(fast), at: start)
        run(&state, .success(slow), at: start + .seconds(1))
        _ = state.take(.alive, at: start + .seconds(2))
        #expect(state.status(at: start + .seconds(2)) == .known(merged))
        _ = state.take(.alive, at: start + .seconds(61))
        #expect(state.status(at: start + .seconds(61)) == .known(merged))
        _ = state.take(.alive, at: start + .milliseconds(61_001))
        #expect(state.status(at: start + .milliseconds(61_001)) == .known(fast))
    }

    @Test("a GPU in trouble stays in trouble while NVML says nothing new")
    func troubleContinues() {
        var state = state()
        _ = state.take(.sample(lost), at: start)
        _ = state.take(.alive, at: start + .seconds(1))
        run(&state, .success(slow), at: start + .milliseconds(500))
        #expect(isUnknown(state, at: start + .seconds(1)))
        run(&state, .success(slow), at: start + .milliseconds(1500))
        #expect(state.status(at: start + .milliseconds(1500)) == .known(slow))
    }

    // MARK: A GPU in trouble

    private func isUnknown(_ state: SamplerState, at time: ContinuousClock.Instant, naming words: String = "") -> Bool {
        guard case .unknown(let reason, _) = state.status(at: time) else { return false }
        return words.isEmpty || reason.contains(words)
    }

    /// Two GPUs as a source tells of them; nil for a GPU without a number.
    private func two(
        _ origin: GPUSample.Origin, _ loads: [Int?], fault: String? = nil, uuids: [String?] = ["GPU-a", "GPU-b"]
    ) -> GPUSample {
        var sample = GPUSample(
            gpus: zip(loads, uuids).enumerated().map { GPU(index: $0, uuid: $1.1, utilization: $1.0) }, origin: origin)
        sample.gpus[sample.gpus.count - 1].fault = fault
        return sample
    }

    @Test("nvidia-smi finds a GPU in trouble that NVML calls idle: unknown while the details count")
    func troubleInDetails() {
        for source in [Configuration.GPUSource.auto, .nvml] {
            var state = state(source)
            _ = state.take(.sample(two(.nvml, [0, 0])), at: start)
            run(
                &state, .success(two(.nvidiaSMI, [0, 0], fault: "gpu_recovery_action: Reset")), at: start + .seconds(1))
            let reason = "GPU 1 (GPU-b): gpu_recovery_action: Reset"
            #expect(isUnknown(state, at: start + .seconds(1), naming: reason))
            _ = state.take(.alive, at: start + .seconds(2))
            #expect(isUnknown(state, at: start + .seconds(2), naming: reason))
            _ = state.take(.sample(two(.nvml, [1, 0])), at: start + .seconds(3))
            #expect(isUnknown(state, at: start + .seconds(3), naming: reason))
            // nvidia-smi fails: what it said last counts on.
            run(&state, .failure(broken), at: start + .seconds(4))
            _ = state.take(.alive, at: start + .seconds(5))
            #expect(isUnknown(state, at: start + .seconds(5)))
            var late = state
            _ = late.take(.alive, at: start + .milliseconds(61_001))
            #expect(late.status(at: start + .milliseconds(61_001)) == .known(two(.nvml, [1, 0])))
            run(&state, .success(two(.nvidiaSMI, [0, 0])), at: start + .seconds(6))
            _ = state.take(.alive, at: start + .seconds(6))
            #expect(state.status(at: start + .seconds(6)) == .known(two(.nvml, [1, 0])))
        }
    }

    @Test("details are the GPU's own, whatever the lists call it")
    func whoseDetails() {
        let fault = "gpu_util: ERR!"
        for (uuids, isSame) in [
            (["GPU-a", nil], true), ([nil, nil], true), (["GPU-a", "GPU-c"], false), (["GPU-b", "GPU-b"], true),
        ] as [([String?], Bool)] {
            var state = state()
            _ = state.take(.sample(two(.nvml, [0, 0])), at: start)
            run(&state, .success(two(.nvidiaSMI, [0, nil], fault: fault, uuids: uuids)), at: start)
            #expect(isUnknown(state, at: start, naming: "GPU 1 (GPU-b): \(fault)") == isSame, "\(uuids)")
        }
        // With one GPU less in the list a position says nothing.
        var state = state()
        _ = state.take(.sample(two(.nvml, [0, 0])), at: start)
        run(&state, .success(two(.nvidiaSMI, [nil], fault: fault, uuids: [nil])), at: start)
        #expect(!isUnknown(state, at: start, naming: "GPU 0 (GPU-a): \(fault)"))
    }

    @Test("only a number makes a GPU well that NVML has found in trouble", arguments: [nil, "GPU-b"])
    func vaguerWord(_ uuid: String?) {
        let lost = two(.nvml, [0, nil], fault: "GPU is lost", uuids: ["GPU-a", uuid])
        for vague in [
            two(.nvidiaSMI, [0, nil]), two(.nvidiaSMI, [0], uuids: ["GPU-a"]), two(.nvidiaSMI, [nil, nil]),
            two(.nvidiaSMI, [0, 0], fault: "gpu_recovery_action: Reset"),
        ] {
            var state = state()
            _ = state.take(.sample(lost), at: start)
            run(&state, .success(vague), at: start + .seconds(1))
            #expect(isUnknown(state, at: start + .seconds(1)), "\(vague)")
            // Neither does NVML's own failure, or its silence.
            var silent = state
            run(&silent, .success(vague), at: start + .seconds(30))
            #expect(isUnknown(silent, at: start + .seconds(30)), "\(vague)")
            _ = state.take(.failure("NVML: Unknown Error"), at: start + .seconds(2))
            run(&state, .success(vague), at: start + .seconds(3))
            #expect(isUnknown(state, at: start + .seconds(3)), "\(vague)")
            run(&state, .success(two(.nvidiaSMI, [0, 7])), at: start + .seconds(4))
            #expect(state.status(at: start + .seconds(4)) == .known(two(.nvidiaSMI, [0, 7])))
        }
    }

    @Test("trouble of a GPU without a UUID is not cleared by the GPU that has moved to its position")
    func movedUp() {
        let uuids: [String?] = ["GPU-a", nil, "GPU-c"]
        var lost = GPUSample(
            gpus: uuids.enumerated().map { GPU(index: $0, uuid: $1, utilization: 0) }, origin: .nvml)
        lost.gpus[1].fault = "GPU is lost"
        var state = state()
        _ = state.take(.sample(lost), at: start)
        run(&state, .success(two(.nvidiaSMI, [0, 0], uuids: ["GPU-a", "GPU-c"])), at: start + .seconds(1))
        #expect(isUnknown(state, at: start + .seconds(1), naming: "GPU 1: GPU is lost"))
    }

    @Test("trouble of a GPU that is not selected does not count, from either source")
    func notSelected() {
        var configuration = Configuration.GPU()
        configuration.devices = ["GPU-a"]
        var state = SamplerState(configuration)
        _ = state.take(.sample(two(.nvml, [0, nil], fault: "GPU is lost")), at: start)
        #expect(!isUnknown(state, at: start))
        run(&state, .success(two(.nvidiaSMI, [0, 0], fault: "gpu_recovery_action: Reset")), at: start)
        #expect(!isUnknown(state, at: start))
        _ = state.take(.failure("NVML crashed"), at: start + .seconds(1))
        run(&state, .success(two(.nvidiaSMI, [0, nil], fault: "gpu_util: ERR!")), at: start + .seconds(2))
        #expect(!isUnknown(state, at: start + .seconds(2)))
    }
}
