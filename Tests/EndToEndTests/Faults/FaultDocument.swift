import Foundation
import Synchronization
import TestSupport
import Testing

/// The tables of docs/RELIABILITY.md: what the tests have seen, a row a fault, between marks for each part.
///
///     <!-- engine: written by `make reliability` -->
///     | fault | …
///     <!-- engine: end -->
enum FaultDocument {
    static let path = Repository.root + "/docs/RELIABILITY.md"

    static let isWriting = ProcessInfo.processInfo.environment["WRITE_RELIABILITY"] != nil
    private static let writing = Mutex(())

    static func check(_ fault: Fault, _ outcome: Fault.Outcome) throws {
        let columns = [fault.name, outcome.client, outcome.lost, outcome.recovery, outcome.doctor]
        let row = "| " + columns.joined(separator: " | ") + " |"
        if isWriting { return try write(row, of: fault) }
        #expect(try rows(of: fault.part).contains(row), "docs/RELIABILITY.md has no row \(row)")
    }

    /// The rows of a part's table, without its head.
    static func rows(of part: Fault.Part) throws -> [String] {
        let text = try Repository.read("docs/RELIABILITY.md")
        let range = try range(of: part, in: text)
        return text[range].split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst().map(String.init)
    }

    /// The first column of a row.
    static func name(_ row: String) -> String {
        row.components(separatedBy: " | ").first.map { String($0.dropFirst(2)) } ?? ""
    }

    private static func write(_ row: String, of fault: Fault) throws {
        try writing.withLock { _ in
            let known = try rows(of: fault.part)
            let ordered = Fault.all.filter { $0.part == fault.part }.compactMap { other in
                other.name == fault.name ? row : known.first { name($0) == other.name }
            }
            let head = ["| fault | the client saw | lost | recovered | doctor |", "|---|---|---|---|---|"]
            var text = try Repository.read("docs/RELIABILITY.md")
            let range = try range(of: fault.part, in: text)
            text.replaceSubrange(range, with: "\n" + (head + ordered).joined(separator: "\n") + "\n")
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
    }

    private static func range(of part: Fault.Part, in text: String) throws -> Range<String.Index> {
        let begin = text.range(of: "<!-- \(part): written by `make reliability` -->")
        let end = text.range(of: "<!-- \(part): end -->")
        return try #require(begin).upperBound..<(try #require(end)).lowerBound
    }
}
