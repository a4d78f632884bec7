import Foundation
import TestSupport
import Testing

/// The units, judged by systemd itself.
@Suite(.enabled(if: Tool.isExpected("systemd-analyze"), "systemd-analyze is missing"))
struct SystemdUnitsTests {
    private static let names = [
        "provider-fcgi.socket", "provider-fcgi.service", "provider-reporter.service", "provider-reporter.timer",
    ]

    /// Copies with the built programs in the place of installed ones, which systemd would miss.
    private static func copies() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        for name in names {
            var unit = try Repository.read("systemd/" + name)
            for program in ["provider-fcgi", "provider-reporter"] {
                unit = unit.replacingOccurrences(
                    of: "ExecStart=/usr/bin/\(program) ", with: "ExecStart=\(try BuiltProduct.path(program)) ")
            }
            try directory.write(unit, to: name)
        }
        return directory
    }

    private static func verify(_ directory: TemporaryDirectory) async throws -> (exit: ChildProcess.Exit, text: String)
    {
        let process = try ChildProcess(
            "systemd-analyze", ["verify"] + names.map { directory.path + "/" + $0 })
        return (try await process.waitForExit(), process.standardError + process.standardOutput)
    }

    @Test func systemdFindsNothingToComplainOf() async throws {
        let (exit, text) = try await Self.verify(try Self.copies())
        #expect(exit == .status(0))
        // Unknown keys are only warnings.
        #expect(text == "")
    }

    @Test(arguments: [
        ("provider-fcgi.service", "KillMode=mixed", "KillMood=mixed"),
        ("provider-fcgi.service", "ExecStart=/", "ExecStart=/nowhere/"),
        ("provider-reporter.timer", "OnCalendar=*:0/5", "OnCalendar=sometimes"),
    ])
    func aMistakeWouldBeFound(file: String, right: String, wrong: String) async throws {
        let directory = try Self.copies()
        let unit = try String(contentsOfFile: directory.path + "/" + file, encoding: .utf8)
        let broken = unit.replacingOccurrences(of: right, with: wrong)
        try #require(broken != unit)
        try directory.write(broken, to: file)
        #expect(try await Self.verify(directory).text != "")
    }

    @Test func theWorkerHasTimeToDrain() throws {
        // server.drain_timeout is 600 s, after which the worker has 2 s to cut what is left.
        let limit = try #require(try Self.value("TimeoutStopSec", in: "provider-fcgi.service").flatMap { Int($0) })
        #expect(limit > 602)
    }

    @Test func nothingClosesTheDevices() throws {
        for name in ["provider-fcgi.service", "provider-reporter.service"] {
            // Each of them would hide /dev/nvidia*.
            for key in ["PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock"] {
                #expect(try Self.value(key, in: name) == nil, "\(name)")
            }
        }
    }

    @Test func bothServicesAreRestrictedAlike() throws {
        let marker = "# --- Who it is"
        let parts = try ["provider-fcgi.service", "provider-reporter.service"].map { name in
            let unit = try Repository.read("systemd/" + name)
            let start = try #require(unit.range(of: marker), "\(name)")
            let end = unit.range(of: "\n\n[Install]")?.lowerBound ?? unit.endIndex
            return unit[start.lowerBound..<end].trimmingCharacters(in: .whitespacesAndNewlines)
        }
        #expect(parts[0] == parts[1])
    }

    private static func value(_ key: String, in unit: String) throws -> String? {
        try Repository.read("systemd/" + unit).split(separator: "\n").first { $0.hasPrefix(key + "=") }
            .map { String($0.dropFirst(key.count + 1)) }
    }
}
