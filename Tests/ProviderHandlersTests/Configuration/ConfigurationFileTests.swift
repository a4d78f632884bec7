import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("Configuration: file")
struct ConfigurationFileTests {
    let fixture: ConfigurationFixture
    init() throws { fixture = try ConfigurationFixture() }

    private var directory: String { fixture.directory.path }

    @Test func theCommandLineComesFirst() throws {
        let first = try fixture.directory.write("server: {port: 1}\n", to: "first.yaml")
        let second = try fixture.directory.write("server: {port: 2}\n", to: "second.yaml")
        let third = try fixture.directory.write("server: {port: 3}\n", to: "third.yaml")
        func load(_ path: String?, _ variable: String?) throws -> LoadedConfiguration {
            try Configuration.load(
                path: path, environment: variable.map { ["PROVIDER_CONFIG": $0] } ?? [:], defaultPath: third,
                defaultKeyFile: fixture.defaultKeyFile)
        }
        let named = try load(first, second)
        #expect(named.configuration.server.port == 1 && named.source == first)
        let fromEnvironment = try load(nil, second)
        #expect(fromEnvironment.configuration.server.port == 2 && fromEnvironment.source == second)
        // An empty variable names nothing.
        for variable in [nil, ""] {
            let byDefault = try load(nil, variable)
            #expect(byDefault.configuration.server.port == 3 && byDefault.source == third)
        }
    }

    @Test func theDefaultFileIsWhereTheManualSays() {
        #expect(Configuration.defaultPath == "/etc/provider-client/config.yaml")
    }

    @Test func aMissingDefaultFileMeansDefaults() throws {
        let loaded = try fixture.load()
        #expect(loaded.configuration == Configuration())
        #expect(loaded.source == "defaults (no \(directory)/missing.yaml)")
        #expect(loaded.warnings.isEmpty)
    }

    @Test func aMissingNamedFileIsAnError() throws {
        let missing = directory + "/missing.yaml"
        #expect(
            try fixture.problem { try fixture.load(path: missing) }
                == "missing.yaml: cannot be read: No such file or directory")
        #expect(
            try fixture.problem { try fixture.load(environment: ["PROVIDER_CONFIG": missing]) }
                == "missing.yaml: cannot be read: No such file or directory (named by PROVIDER_CONFIG)")
        #expect(
            try fixture.problem { try fixture.load(path: "") } == #"--config: expected the path of a file, found """#)
    }

    @Test func aDefaultFileThatIsALinkToNothingIsAnError() throws {
        try FileManager.default.createSymbolicLink(
            atPath: directory + "/missing.yaml", withDestinationPath: directory + "/nothing")
        #expect(
            try fixture.problem { try fixture.load() } == "missing.yaml: cannot be read: No such file or directory")
    }

    @Test func aLinkToAFileIsRead() throws {
        let path = try fixture.directory.write("server: {port: 1}\n", to: "real.yaml")
        try FileManager.default.createSymbolicLink(
            atPath: directory + "/link.yaml", withDestinationPath: path)
        #expect(try fixture.load(path: directory + "/link.yaml").configuration.server.port == 1)
    }

    @Test func onlyRegularFilesAreRead() throws {
        try #require(mkfifo(directory + "/fifo", 0o600) == 0)
        let found = [
            (directory + "/fifo", "a FIFO"), (directory + "/", "a directory"), ("/dev/null", "a device"),
            ("/dev/zero", "a device"),
        ]
        for (path, kind) in found {
            let problem = try #require(try fixture.problem { try fixture.load(path: path) })
            #expect(problem.hasSuffix(": cannot be read: expected a regular file, found \(kind)"))
        }
    }

    /// root may read everything.
    @Test(.enabled(if: geteuid() != 0))
    func aFileWithoutPermissionIsAnError() throws {
        let path = try fixture.directory.write("", to: "secret.yaml", mode: 0o000)
        #expect(
            try fixture.problem { try fixture.load(path: path) } == "secret.yaml: cannot be read: Permission denied")
        #expect(
            try fixture.problem {
                try Configuration.load(
                    path: nil, environment: [:], defaultPath: path, defaultKeyFile: fixture.defaultKeyFile)
            }
                == "secret.yaml: cannot be read: Permission denied")
    }

    @Test func aHugeFileIsAnError() throws {
        let fits = "#" + String(repeating: "x", count: ConfigurationFile.sizeLimit - 1)
        #expect(try fixture.load(fits).configuration == Configuration())
        #expect(
            try fixture.problem(fits + "x") == "config.yaml: cannot be read: expected at most 1048576 bytes, found more"
        )
        // Without a size and without an end.
        let path = directory + "/sparse"
        try #require(FileManager.default.createFile(atPath: path, contents: nil))
        try #require(truncate(path, 1 << 40) == 0)
        #expect(
            try fixture.problem { try fixture.load(path: path) }
                == "sparse: cannot be read: expected at most 1048576 bytes, found more")
    }

    /// Sizes of files in /proc read as 0.
    @Test func theReadTextCounts() throws {
        let problem = try fixture.problem { try fixture.load(path: "/proc/self/status") }
        #expect(problem?.hasPrefix("/proc/self/status:") == true)
    }

    @Test func aPathIsShownOnOneLine() throws {
        let problem = try fixture.problem { try fixture.load(path: "/no\n\u{1B}[31m") }
        #expect(problem == "/no\u{FFFD}\u{FFFD}[31m: cannot be read: No such file or directory")
    }

    @Test func samplesThatAreAlwaysTooOldGetAWarning() throws {
        let loaded = try fixture.load("gpu: {sample_interval: 3, max_sample_age: 3}\n")
        #expect(
            loaded.warnings == [
                """
                gpu.max_sample_age is not above gpu.sample_interval: samples are too old before the next one comes, and \
                the machine then counts as busy
                """
            ])
    }
}
