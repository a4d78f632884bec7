import Foundation
import Logging

@testable import ProviderHandlers

/// Readers of GPUs: each accepted sample has to suit log, rule and report.

func fuzzNvidiaSMI(_ bytes: [UInt8]) {
    do throws(GPUDocumentError) {
        let sample = try GPUDocument.parse(bytes)
        precondition(!sample.gpus.isEmpty)
        check(sample)
        check(in: .nvidiaSMI) { _ = $0.end(.success(sample), at: .now) }
    } catch {
        precondition(isOneLine(error.words))
    }
}

/// Each line is a word of the child's; the next child follows on a word that is the last of one.
func fuzzNVML(_ bytes: [UInt8]) {
    check(in: .nvml) { state in
        var child = NVMLChild()
        for line in bytes.split(separator: 0x0A) {
            let written = NVMLMessage(line: line)
            precondition(NVMLMessage(line: written.line.dropLast()) == written)
            guard let word = child.take(line) else { preconditionFailure("no word") }
            switch word {
            case .sample(let sample): check(sample)
            case .alive: break
            case .load: preconditionFailure("a word without its sample")
            case .missing, .failure: child = NVMLChild()
            }
            for announcement in state.take(word, at: .now) { check(logged: announcement.text) }
        }
    }
}

/// A sysfs with one GPU and the input's files.
///
/// Input: the files' contents in the order below, with a byte 0xFF between them.
final class AMDGPUFuzzer: Sendable {
    static let shared = AMDGPUFuzzer()

    private static let names = [
        "gpu_busy_percent", "mem_info_vram_total", "mem_info_vram_used", "product_name", "unique_id",
        "power/runtime_status", "hwmon/hwmon0/temp1_input", "hwmon/hwmon0/power1_average", "device",
    ]

    private let files: [MemoryFile]
    private let reader: AMDGPU

    private init() {
        let sysfs = ScratchDirectory()
        let device = "class/drm/card0/device"
        sysfs.link("\(device)/driver", to: "../bus/amdgpu")
        files = Self.names.map { name in
            let file = MemoryFile()
            sysfs.link("\(device)/\(name)", to: file.path)
            return file
        }
        reader = AMDGPU(root: sysfs.path)
    }

    func run(_ bytes: [UInt8]) {
        let contents = bytes.split(separator: 0xFF, omittingEmptySubsequences: false)
        for (index, file) in files.enumerated() { file.write(index < contents.count ? contents[index] : []) }
        guard let sample = reader.read() else { preconditionFailure("no GPU") }
        precondition(sample.gpus.count == 1)
        check(sample)
        let texts = [sample.gpus[0].productName, sample.gpus[0].uuid].compactMap(\.self)
        precondition(texts.allSatisfy(isOneLine))
        check(in: .auto) { _ = $0.end(.success(sample), at: .now) }
    }
}

// MARK: - What all of them have to hold

private func check(_ sample: GPUSample) {
    for gpu in sample.gpus {
        precondition(gpu.utilization.map { (0...100).contains($0) } ?? true)
        precondition(gpu.fault.map { !$0.isEmpty && isOneLine($0) } ?? true)
        let mig = gpu.migDevices.flatMap { [$0.memoryTotal, $0.memoryUsed, $0.memoryFree] }
        let sizes = [gpu.memoryTotal, gpu.memoryUsed, gpu.memoryFree] + mig
        precondition(sizes.allSatisfy { $0.map { $0 >= 0 } ?? true })
    }
}

/// Adds the sample to the sampler's state, and checks rule and report.
private func check(in source: Configuration.GPUSource, _ take: (inout SamplerState) -> Void) {
    var configuration = Configuration.GPU()
    configuration.source = source
    var state = SamplerState(configuration)
    take(&state)
    let status = state.status(at: .now)
    guard case .known(let sample) = status else {
        if case .unknown(let reason, _) = status { check(logged: reason) }
        return
    }
    precondition(sample.gpus.allSatisfy { $0.fault == nil }, "a GPU in trouble counts")
    let loads = sample.gpus.compactMap(\.utilization)
    let expected: BusyVerdict = loads.isEmpty ? .unreadable : loads.contains { $0 > 20 } ? .busy : .idle
    precondition(BusyRule.verdict(status, configuration) == expected)
    check(logged: sample.summary(of: sample))
    let report = json(JSON.encode(GPUReport(sample, isBusy: false, configuration: configuration)))
    guard let report = report as? [String: Any] else { preconditionFailure("no report") }
    for key in ["gpu_count", "utilization", "memory_total", "memory_used", "memory_free"] {
        precondition(isInteger(report[key]), key)
    }
}

private func check(logged text: String) {
    precondition(isOneLine(LogLine(level: .info, message: text, fields: [:]).text(hasPriority: false)))
}
