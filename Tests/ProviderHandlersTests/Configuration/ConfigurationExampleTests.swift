import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// `config.example.yaml` is the manual of the configuration: these tests keep it true.
@Suite("Configuration: example")
struct ConfigurationExampleTests {
    private static let path = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("config.example.yaml").path

    @Test func isTheDefaults() throws {
        let loaded = try Configuration.load(path: Self.path, environment: [:])
        #expect(loaded.configuration == Configuration())
        #expect(loaded.warnings.isEmpty)
    }

    @Test func namesEveryKeyInTheSchemasOrder() throws {
        let root = try #require(try YAMLNode.document(in: Array(Data(contentsOf: URL(fileURLWithPath: Self.path)))))
        var keys: [String] = []
        for section in root.entries {
            for key in section.value.entries {
                keys.append("\(section.key).\(key.key)")
                // A blank would load to the default as well, and document nothing.
                #expect(!key.value.isNull, "\(section.key).\(key.key)")
            }
        }
        #expect(keys == ConfigurationSchema.keys.map(\.path))
    }

    @Test func explainsEveryKey() throws {
        let lines = try String(contentsOfFile: Self.path, encoding: .utf8).components(separatedBy: "\n")
        var explained = 0
        for (before, line) in zip(lines, lines.dropFirst()) where line.hasPrefix("  ") && !line.hasPrefix("  #") {
            #expect(before.hasPrefix("  # "), "\(line)")
            explained += 1
        }
        #expect(explained == ConfigurationSchema.keys.count)
    }
}

extension YAMLNode {
    /// The entries of a mapping; none for anything else.
    fileprivate var entries: [Entry] {
        guard case .mapping(let entries) = content else { return [] }
        return entries
    }
}
