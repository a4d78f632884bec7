import Foundation
import TestSupport
import Testing

/// docs/THREAT-MODEL.md claims nothing that no test shows.
struct ThreatModelTests {
    @Test func everyTestItNamesIsThere() throws {
        let document = try Repository.read("docs/THREAT-MODEL.md")
        let named = Set(document.matches(of: /`([A-Z][A-Za-z]+Tests)\.([A-Za-z0-9]+)`/).map { "\($0.1).\($0.2)" })
        #expect(named.count > 50)
        #expect(named.subtracting(try Self.tests()) == [])
    }

    /// `Suite.function` for every test of the package; a file may have several suites.
    private static func tests() throws -> Set<String> {
        var tests: Set<String> = []
        let directory = Repository.root + "/Tests"
        for case let file as String in FileManager.default.enumerator(atPath: directory) ?? .init()
        where file.hasSuffix("Tests.swift") {
            let text = try String(contentsOfFile: directory + "/" + file, encoding: .utf8)
            var suite = ""
            for line in text.split(separator: "\n") {
                if let match = line.firstMatch(of: /^(?:@Suite.*)?\s?struct (\w+)/) { suite = String(match.1) }
                if let match = line.firstMatch(of: /^    (?:@Test.*)?\s?func (\w+)\(/) {
                    tests.insert("\(suite).\(match.1)")
                }
                if let match = line.firstMatch(of: /^    func (\w+)\(/) { tests.insert("\(suite).\(match.1)") }
            }
        }
        return tests
    }
}
