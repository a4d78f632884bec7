import Dispatch

/// What the GPUs' drivers tell now, and whether the worker knows the same.
struct GPUCheck: Sendable {
    /// Limits of a look: as long as the worker waits for a sample at its start, or a little longer.
    private static let limits = (nvml: Duration.seconds(10), nvidiaSMI: Duration.seconds(20))

    var configuration: Configuration.GPU
    /// NVML's first word; nil where NVML is not asked.
    var nvml: NVMLMessage?
    /// What is known without NVML.
    var other: GPUStatus
    /// How long the look took.
    var time: Duration

    static func look(_ configuration: Configuration.GPU, _ log: QuietLog) -> Self {
        let started = ContinuousClock.now
        let asksNVML = [.auto, .nvml].contains(configuration.source)
        let nvml = asksNVML ? Pending { firstWord(configuration) } : nil
        var other = GPUStatus.absent
        if configuration.source != .nvml {
            let sampler = GPUSampler(configuration, nvml: nil, logger: log.logger)
            sampler.start()
            sampler.waitForFirstSample(timeout: min(limits.nvidiaSMI, configuration.nvidiaSMITimeout + .seconds(2)))
            other = sampler.status
            sampler.stop()
        }
        let word = nvml?.value(until: .now + limits.nvml) ?? nil
        return Self(configuration: configuration, nvml: word, other: other, time: .now - started)
    }

    /// Only a child process ever loads NVML: the worker's own.
    private static func firstWord(_ configuration: Configuration.GPU) -> NVMLMessage? {
        guard let program = OtherProgram.beside("provider-fcgi") else {
            return .missing("provider-fcgi, which asks NVML, is not beside provider-reporter")
        }
        let feed = NVMLFeed(program: program, environment: Program.environment, timing: .init())
        let word = Locked<NVMLMessage?>(nil)
        let isThere = DispatchSemaphore(value: 0)
        let isStarted: Void? = try? feed.start { message in
            word.withLock { $0 = $0 ?? message }
            isThere.signal()
        }
        defer { feed.stop() }
        guard isStarted != nil, isThere.wait(timeout: .now() + .seconds(9)) == .success else {
            return .failure("NVML has been silent for 9 s")
        }
        return word.withLock { $0 }
    }

    // MARK: The judgement

    /// The state as the worker would see it, and NVML's trouble if another source took over.
    private var verdict: (status: GPUStatus, nvmlTrouble: String?) {
        switch nvml {
        case nil: return (other, nil)
        case .missing where configuration.source == .auto: return (other, nil)
        case .failure(let reason) where configuration.source == .auto:
            if case .known = other { return (other, reason) }
            return (.unknown(reason: reason, last: nil), nil)
        case .some(let word):
            var only = configuration
            only.source = .nvml
            var state = SamplerState(only)
            let now = ContinuousClock.now
            _ = state.take(word, at: now)
            return (state.status(at: now), nil)
        }
    }

    func findings(_ worker: WorkerView?) -> [Finding] {
        let (status, nvmlTrouble) = verdict
        switch status {
        case .absent:
            return [.ok(.gpuDriver, "no GPU was found: a CPU machine, which is never busy")]
                + [CheckCode.gpuSample, .gpuDevices].map { .skip($0, "no GPU") }
        case .unknown(let reason, nil):
            return [
                .fail(
                    .gpuDriver, reason,
                    fix: "run \(configuration.source == .amdgpu ? "dmesg | grep amdgpu" : "nvidia-smi"): it shows the "
                        + "driver's error; restart the machine if it hangs"),
                .skip(.gpuSample, because: .gpuDriver), .skip(.gpuDevices, because: .gpuDriver),
            ]
        case .unknown(let reason, .some(let last)):
            return [
                driver(last, nvmlTrouble), .skip(.gpuSample, because: .gpuDevices),
                .fail(
                    .gpuDevices, reason,
                    fix:
                        "nvidia-smi -q shows the GPU's state; restart the machine, or leave the GPU out with gpu.devices"
                ),
            ]
        case .known(let sample):
            return [driver(sample, nvmlTrouble), self.sample(worker), devices(sample)]
        }
    }

    private func driver(_ sample: GPUSample, _ nvmlTrouble: String?) -> Finding {
        var saw = "read through \(sample.origin.rawValue)"
        if configuration.source != .auto { saw += ", as gpu.source says" }
        if let version = sample.driverVersion { saw += ", driver \(version)" }
        if let version = sample.cudaVersion { saw += ", CUDA \(version)" }
        if let nvmlTrouble {
            return .warn(
                .gpuDriver, "\(saw); the faster NVML does not work: \(nvmlTrouble)",
                fix: "reinstall the driver's library (libnvidia-ml), or set gpu.source: nvidia-smi")
        }
        if case .missing(let reason) = nvml, sample.origin != .amdgpu { saw += "; NVML is not used: \(reason)" }
        return .ok(.gpuDriver, saw)
    }

    private func sample(_ worker: WorkerView?) -> Finding {
        let fresh = "a fresh sample took \(time.inSeconds.formatted(1)) s"
        guard let worker else { return .ok(.gpuSample, "\(fresh); the worker's sample was not seen") }
        if let trouble = worker.gpuTrouble {
            return .fail(
                .gpuSample, "\(fresh), but the worker says: \(trouble)",
                fix: "systemctl start provider-fcgi-rolling-restart")
        }
        guard let age = worker.sampleAge else { return .ok(.gpuSample, "\(fresh); the worker knows the GPUs") }
        let saw = "\(fresh); the worker's sample is \(age.formatted(1)) s old"
        let limit = configuration.maxSampleAge.inSeconds
        guard age > limit else { return .ok(.gpuSample, saw) }
        return .fail(
            .gpuSample, "\(saw), and gpu.max_sample_age is \(limit.formatted(1)) s",
            fix: "systemctl start provider-fcgi-rolling-restart")
    }

    private func devices(_ sample: GPUSample) -> Finding {
        let shown = sample.gpus.prefix(16).map { gpu in
            var text = "GPU \(gpu.index) \(gpu.productName ?? "unnamed")"
            text += gpu.utilization.map { " \($0) %" } ?? " N/A %"
            if let used = gpu.memoryUsed, let total = gpu.memoryTotal { text += ", \(used) of \(total) MiB" }
            if let temperature = gpu.temperature { text += ", \(temperature) °C" }
            return text
        }
        let rest = sample.gpus.count - shown.count
        return .ok(.gpuDevices, shown.joined(separator: "; ") + (rest > 0 ? "; and \(rest) more" : ""))
    }
}
