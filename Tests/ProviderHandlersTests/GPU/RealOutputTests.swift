import Foundation
import Testing

@testable import ProviderHandlers

/// Real outputs, which belong to others and so lie outside the repository, beside it.
private enum RealOutputs {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["NVIDIA_SMI_SAMPLES"] { return URL(fileURLWithPath: path) }
        var repository = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { repository.deleteLastPathComponent() }
        return repository.deletingLastPathComponent().appendingPathComponent("shared/nvidia-smi")
    }()

    static var areThere: Bool {
        FileManager.default.fileExists(atPath: directory.appendingPathComponent("expected.json").path)
    }

    /// Where they belong to the check, their absence is a failure.
    static var areRequired: Bool { ProcessInfo.processInfo.environment["CI"] == "true" }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: directory.appendingPathComponent(name)))
    }

    static func decode<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: Data(contentsOf: directory.appendingPathComponent(name)))
    }

    static func names(_ suffix: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(suffix) }.sorted()
    }
}

@Suite(
    "Real nvidia-smi outputs",
    .enabled(
        if: RealOutputs.areThere || RealOutputs.areRequired,
        "they are not in ../shared/nvidia-smi; NVIDIA_SMI_SAMPLES names another place"))
struct RealOutputTests {
    private struct Document: Decodable {
        let driverVersion: String?
        let cudaVersion: String?
        let attachedGpus: Int?
        let gpus: [Device]

        struct Device: Decodable {
            let productName: String?
            let uuid: String?
            let gpuUtil: Int?
            let memoryTotalMib: Int?
            let memoryUsedMib: Int?
            let memoryFreeMib: Int?
            let mig: Bool
        }

        var sample: GPUSample {
            GPUSample(
                gpus: gpus.enumerated().map { index, gpu in
                    GPU(
                        index: index, productName: gpu.productName, uuid: gpu.uuid, utilization: gpu.gpuUtil,
                        memoryTotal: gpu.memoryTotalMib, memoryUsed: gpu.memoryUsedMib,
                        memoryFree: gpu.memoryFreeMib, isMIG: gpu.mig)
                },
                driverVersion: driverVersion, cudaVersion: cudaVersion, attachedGPUs: attachedGpus)
        }
    }

    @Test("every document gives what is expected")
    func documents() throws {
        let expected = try RealOutputs.decode("expected.json", as: [String: Document].self)
        #expect(try RealOutputs.names(".xml") == expected.keys.sorted())
        for (name, document) in expected {
            var sample = try GPUDocument.parse(RealOutputs.bytes(name))
            for index in sample.gpus.indices {
                // What expected.json does not hold; the next test looks at it.
                sample.gpus[index].temperature = nil
                sample.gpus[index].power = nil
                sample.gpus[index].migDevices = []
            }
            #expect(sample == document.sample, "\(name)")
        }
        print("read \(expected.count) real documents of nvidia-smi")
        #expect(expected.count >= 61)
    }

    /// Against a search for the elements as text, which is simple where they are printed once for each GPU.
    @Test("temperatures, powers and MIG devices are all found")
    func details() throws {
        var devices = 0
        for name in try RealOutputs.names(".xml") {
            let bytes = try RealOutputs.bytes(name)
            let text = String(decoding: bytes, as: UTF8.self)
            let gpus = try GPUDocument.parse(bytes).gpus
            let temperatures = text.matches(of: /<gpu_temp>([0-9]+) C</).compactMap { Int($0.1) }
            #expect(gpus.compactMap(\.temperature) == temperatures, "\(name)")
            let readings = text.matches(of: /<(?:gpu_)?power_readings>(?s:.*?)<\/(?:gpu_)?power_readings>/)
            let powers = readings.compactMap { reading in
                text[reading.range].firstMatch(of: /_?power_draw>([0-9]+)\.[0-9]+ W</).flatMap { Int($0.1) }
            }
            #expect(gpus.compactMap(\.power) == powers, "\(name)")
            #expect(gpus.flatMap(\.migDevices).count == text.matches(of: /<mig_device>/).count, "\(name)")
            #expect(gpus.flatMap(\.migDevices).allSatisfy { ($0.memoryTotal ?? 0) > 0 && $0.gpuInstance != nil })
            #expect(gpus.allSatisfy { $0.fault == nil })
            devices += gpus.flatMap(\.migDevices).count
        }
        #expect(devices >= 6)
    }

    @Test("every document is refused when its end is missing")
    func cut() throws {
        for name in try RealOutputs.names(".xml") {
            let bytes = try RealOutputs.bytes(name)
            for part in 0..<20 {
                let end = bytes.count * part / 20
                #expect(throws: GPUDocumentError.self, "\(name) cut at \(end)") {
                    try GPUDocument.parse(Array(bytes[..<end]))
                }
            }
        }
    }

    @Test("every failure gives an error with its words")
    func failures() throws {
        struct Failure: Decodable {}
        let names = try RealOutputs.decode("expected-failures.json", as: [String: Failure].self).keys.sorted()
        #expect(try RealOutputs.names(".txt") == names)
        for name in names {
            let bytes = try RealOutputs.bytes(name)
            let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
                .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            #expect(throws: GPUDocumentError.noDocument(words: lines.joined(separator: "; ")), "\(name)") {
                try GPUDocument.parse(bytes)
            }
        }
        print("read \(names.count) real failures of nvidia-smi")
        #expect(names.count >= 11)
    }
}

/// Documents after public reports of GPUs in trouble, beside the repository too.
@Suite("Documents of GPUs in trouble", .enabled(if: FieldDocuments.areThere, "they are not in ../shared/field"))
struct FieldDocumentTests {
    @Test(
        "a reset that is required or recommended is trouble, of the GPU that it is said of",
        arguments: [
            ("580-none.xml", [nil]), ("580.xml", ["gpu_recovery_action: Reset"]), ("535.xml", ["reset_required: Yes"]),
            ("two.xml", [nil, "gpu_recovery_action: Reset"]),
        ] as [(String, [String?])])
    func reset(_ name: String, _ faults: [String?]) throws {
        let sample = try FieldDocuments.sample("03-recovery-action-reset/\(name)")
        #expect(sample.gpus.map(\.fault) == faults)
    }

    @Test("memory that is kept back is null, and no trouble")
    func mig() throws {
        let gpu = try #require(try FieldDocuments.sample("08-words-in-place-of-numbers/mig.xml").gpus.first)
        #expect(gpu.fault == nil && gpu.utilization == nil && gpu.memoryTotal == nil && gpu.memoryUsed == nil)
        #expect(gpu.isMIG && gpu.power == 67 && gpu.temperature == 33 && gpu.migDevices.map(\.memoryTotal) == [20096])
    }
}

private enum FieldDocuments {
    static let directory = RealOutputs.directory.deletingLastPathComponent().appendingPathComponent("field")

    static var areThere: Bool { FileManager.default.fileExists(atPath: directory.path) }

    static func sample(_ path: String) throws -> GPUSample {
        try GPUDocument.parse(Array(try Data(contentsOf: directory.appendingPathComponent(path))))
    }
}
