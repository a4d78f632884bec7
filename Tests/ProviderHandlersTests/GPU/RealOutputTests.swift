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
                gpus: gpus.map {
                    GPU(
                        productName: $0.productName, uuid: $0.uuid, utilization: $0.gpuUtil,
                        memoryTotal: $0.memoryTotalMib, memoryUsed: $0.memoryUsedMib, memoryFree: $0.memoryFreeMib,
                        isMIG: $0.mig)
                },
                driverVersion: driverVersion, cudaVersion: cudaVersion, attachedGPUs: attachedGpus)
        }
    }

    @Test("every document gives what is expected")
    func documents() throws {
        let expected = try RealOutputs.decode("expected.json", as: [String: Document].self)
        #expect(try RealOutputs.names(".xml") == expected.keys.sorted())
        for (name, document) in expected {
            #expect(try GPUDocument.parse(RealOutputs.bytes(name)) == document.sample, "\(name)")
        }
        print("read \(expected.count) real documents of nvidia-smi")
        #expect(expected.count >= 57)
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
