import TestSupport

/// A worker that has just been started and waits for its first GPU sample, from an nvidia-smi that hangs.
final class StartingWorker: Sendable {
    let process: ChildProcess
    private let gpu: FakeGPU
    private let directory: TemporaryDirectory

    init() async throws {
        let gpu = try FakeGPU(.hangs)
        self.gpu = gpu
        directory = try TemporaryDirectory()
        process = try .worker(
            environment: [
                "PATH": gpu.path ?? "", "PROVIDER_SERVER_SOCKET": directory.path + "/fcgi.sock",
                "PROVIDER_GPU_SOURCE": "nvidia-smi",
            ])
        try await eventually("nvidia-smi runs") { gpu.hangs > 0 }
    }
}
