/// What the GPUs' drivers tell now, and whether the worker knows the same.
struct GPUCheck: Sendable {
    /// For a first word: of NVML, which may have to wake every GPU, and of all sources.
    private static let limits = (nvml: Duration.seconds(15), all: Duration.seconds(20))

    var configuration: Configuration.GPU
    /// As the worker would see it.
    var status: GPUStatus
    var nvmlTrouble: NVMLTrouble?
    /// How long the first sample took.
    var time: Duration

    /// Samples as the worker does. Only a child process ever loads NVML: the worker's own.
    static func look(_ configuration: Configuration.GPU, _ log: QuietLog) -> Self {
        let started = ContinuousClock.now
        let asksNVML = [.auto, .nvml].contains(configuration.source)
        let program = asksNVML ? OtherProgram.beside("provider-fcgi") : nil
        let noProgram =
            asksNVML && program == nil ? "provider-fcgi, which asks NVML, is not beside provider-reporter" : nil
        if let noProgram, configuration.source == .nvml {
            return Self(
                configuration: configuration, status: .unknown(reason: noProgram, last: nil), nvmlTrouble: nil,
                time: .zero)
        }
        var timing = NVMLFeed.Timing()
        timing.startLimit = limits.nvml
        let feed = program.map { NVMLFeed(program: $0, environment: Program.environment, timing: timing) }
        let sampler = GPUSampler(configuration, nvml: feed, logger: log.logger)
        sampler.start()
        defer { sampler.stop() }
        sampler.waitForFirstSample(timeout: limits.all)
        let time = ContinuousClock.now - started
        sampler.waitForEachSource(timeout: limits.all - time)
        return Self(
            configuration: configuration, status: sampler.status,
            nvmlTrouble: noProgram.map { .missing($0) } ?? sampler.nvmlTrouble, time: time)
    }

    // MARK: The judgement

    func findings(_ worker: WorkerView?) -> [Finding] {
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
                driver(last), .skip(.gpuSample, because: .gpuDevices),
                .fail(
                    .gpuDevices, reason,
                    fix:
                        "nvidia-smi -q shows the GPU's state; restart the machine, or leave the GPU out with gpu.devices"
                ),
            ]
        case .known(let sample):
            return [driver(sample), self.sample(worker), devices(sample)]
        }
    }

    private func driver(_ sample: GPUSample) -> Finding {
        var saw = "read through \(sample.origin.rawValue)"
        if configuration.source != .auto { saw += ", as gpu.source says" }
        if let version = sample.driverVersion { saw += ", driver \(version)" }
        if let version = sample.cudaVersion { saw += ", CUDA \(version)" }
        switch nvmlTrouble {
        case .failing(let reason):
            return .warn(
                .gpuDriver, "\(saw); the faster NVML does not work: \(reason)",
                fix: "reinstall the driver's library (libnvidia-ml), or set gpu.source: nvidia-smi")
        case .missing(let reason) where sample.origin != .amdgpu: saw += "; NVML is not used: \(reason)"
        case .missing, nil: break
        }
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
