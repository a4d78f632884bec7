import TestSupport
import Testing

@testable import ProviderHandlers

/// Values that came with the quotation marks around them, as `docker run --env-file` hands them over.
@Suite("Configuration: quoted variables")
struct QuotedVariableTests {
    private static let remedy = "; remove them (docker run --env-file keeps them as a part of the value)"

    private func problem(_ environment: [String: String]) throws -> String? {
        let fixture = try ConfigurationFixture()
        return try fixture.problem { try fixture.load(environment: environment) }
    }

    /// Also where the key would take the value as it is, and where it would refuse it with other words.
    @Test(arguments: ConfigurationSchema.keys.map(\.variable) + ["PROVIDER_CONFIG"])
    func everyVariable(_ name: String) throws {
        for value in [#""value""#, "'value'", "\"\"", " \"value\"\r", "“value”", "„value“", "‘value’", "«value»"] {
            let problem = try problem([name: value])
            let expected = "environment variable \(name): expected a value without quotation marks around it, found "
            #expect(problem?.hasPrefix(expected) == true, "\(value): \(problem ?? "none")")
            #expect(problem?.hasSuffix(Self.remedy) == true)
            #expect(problem?.contains("found a value that is not shown") == (name == "PROVIDER_API_KEY"))
        }
    }

    @Test func theValueIsShownUnlessItIsSecret() throws {
        #expect(
            try problem(["PROVIDER_GPU_NVIDIA_SMI": "'nvidia-smi'"])
                == "environment variable PROVIDER_GPU_NVIDIA_SMI: expected a value without quotation marks around it, "
                + "found \"'nvidia-smi'\"" + Self.remedy)
        #expect(
            try problem(["PROVIDER_API_KEY": "\"s3cret\""])
                == "environment variable PROVIDER_API_KEY: expected a value without quotation marks around it, "
                + "found a value that is not shown" + Self.remedy)
        #expect(try problem(["PROVIDER_URL": "\"http://user:s3cret@host\""])?.contains("s3cret") == false)
    }

    /// A mark alone, one on one side, two that differ, and quotation marks inside.
    @Test(arguments: ["\"", "'", "\"type", "type'", "\"type'", "a \"b\" c", "", "“", "type", " "])
    func noPair(_ value: String) throws {
        #expect(!QuotedVariable.isQuoted(value))
        let expected = value.isEmpty ? "ollama" : value
        #expect(
            try ConfigurationFixture().load(environment: ["PROVIDER_TYPE": value]).configuration.provider.type
                == expected)
    }

    /// YAML has taken its own off already.
    @Test func quotesInTheFileAreNoPartOfTheValue() throws {
        let loaded = try ConfigurationFixture().load("provider: {type: 'a', url: \"http://localhost\"}\n")
        #expect(loaded.configuration.provider.type == "a")
    }

    @Test func whatIsNoSettingIsNotLookedAt() throws {
        let loaded = try ConfigurationFixture().load(environment: ["PROVIDER_OTHER": "'x'", "OTHER": "'x'"])
        #expect(loaded.warnings == ["environment variable PROVIDER_OTHER: there is no such setting"])
    }

    /// RFC 6750, section 2.1: no Bearer token has one.
    @Test(arguments: ["\"s3cret\"", "'s3cret'", "s3\"cret", "s3'cret", "\"s3cret", "s3cret'"])
    func aKeyWithQuotationMarks(_ key: String) throws {
        let fixture = try ConfigurationFixture()
        let file = try fixture.directory.write(key + "\n", to: "api_key", mode: 0o600)
        let words = "visible ASCII characters without blanks or quotation marks"
        let written = key.contains("'") ? "\"\(key)\"" : "'\(key)'"
        for (place, problem) in [
            ("the file", try fixture.problem("provider: {api_key: \(written)}\n")),
            ("a file of its own", try fixture.problem("", environment: ["PROVIDER_API_KEY_FILE": file])),
            ("the credential", try fixture.problem("", environment: ["CREDENTIALS_DIRECTORY": fixture.directory.path])),
            ("the environment", try fixture.problem("", environment: ["PROVIDER_API_KEY": key])),
        ] {
            let isNamed = problem?.contains(words) == true || problem?.contains("without quotation marks") == true
            #expect(isNamed, "\(place): \(problem ?? "none")")
            #expect(problem?.contains("cret") == false, "\(place)")
        }
    }
}
