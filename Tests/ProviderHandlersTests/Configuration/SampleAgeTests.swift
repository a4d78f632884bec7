import TestSupport
import Testing

@testable import ProviderHandlers

/// A sample has to last until the next one can be there.
@Suite("Configuration: age of a sample")
struct SampleAgeTests {
    @Test(
        arguments: [
            ("5", nil, nil), ("5.001", "15.001", 15.002), ("7", nil, 19), ("7", "18.999", 19), ("7", "19", nil),
            ("20", "44", 45), ("20", "45", nil), ("4.9", "6", nil), ("0.5", "2", nil), ("5", "6", nil),
        ] as [(String, String?, Double?)])
    func timeout(_ timeout: String, _ age: String?, _ least: Double?) throws {
        let document = "gpu:\n  nvidia_smi_timeout: \(timeout)\n" + (age.map { "  max_sample_age: \($0)\n" } ?? "")
        let problem = try ConfigurationFixture().problem(document)
        guard let least, let number = Double(timeout) else {
            #expect(problem == nil)
            return
        }
        #expect(
            problem == """
                config.yaml:2: gpu.nvidia_smi_timeout: with \(number) s expected gpu.max_sample_age to be at least \
                \(least) s (twice as long plus 5.0 s: a run, a pause and the next run), found \(Double(age ?? "10") ?? 0) s; raise \
                gpu.max_sample_age
                """)
    }

    @Test func fromTheEnvironment() throws {
        let fixture = try ConfigurationFixture()
        let problem = try fixture.problem { try fixture.load(environment: ["PROVIDER_GPU_NVIDIA_SMI_TIMEOUT": "30"]) }
        #expect(problem?.hasPrefix("environment variable PROVIDER_GPU_NVIDIA_SMI_TIMEOUT: gpu.nvidia_smi_") == true)
    }
}
