import TestSupport
import Testing

@testable import ProviderHandlers

/// The bundle's file, read by tar and gzip.
@Suite struct ArchiveTests {
    @Test(arguments: [0, 1, 511, 512, 513, 65_535, 200_000])
    func tarReadsEveryFile(size: Int) async throws {
        let text = String(repeating: "é\n", count: size / 3) + String(repeating: "-", count: size % 3)
        let directory = try TemporaryDirectory()
        let file = try directory.write(
            bytes: Archive.tarGz([("a/first", text), ("a/last", "end")], time: 1_700_000_000), to: "a.tar.gz")
        let first = try ChildProcess("tar", ["-xzOf", file, "a/first"])
        #expect(try await first.waitForExit() == .status(0))
        #expect(first.standardError == "" && first.standardOutput == text)
        let list = try ChildProcess("tar", ["--utc", "--numeric-owner", "-tvzf", file])
        #expect(try await list.waitForExit() == .status(0))
        let lines = list.standardOutput.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.map { $0[0] } == ["-rw-------", "-rw-------"] && lines.map { $0[1] } == ["0/0", "0/0"])
        #expect(lines.map { $0[2] } == ["\(size)", "3"] && lines.map { $0[3] } == ["2023-11-14", "2023-11-14"])
    }
}
