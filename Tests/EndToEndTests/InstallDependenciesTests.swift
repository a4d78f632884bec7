import Foundation
import TestSupport
import Testing

/// scripts/install-dependencies for a user who may not install anything.
@Suite struct InstallDependenciesTests {
    /// Runs the script with the programs that it needs, an apt-get, and another user's number.
    ///
    /// - Parameter sudo: the program's text; nil for a machine without it.
    private static func run(sudo: String?) async throws -> (exit: ChildProcess.Exit, text: String) {
        let programs = try TemporaryDirectory()
        for name in ["bash", "env", "sort", "sed", "test"] {
            let path = try #require(Tool.path(name))
            try FileManager.default.createSymbolicLink(
                atPath: programs.path + "/" + name, withDestinationPath: path)
        }
        for (name, text) in [
            ("swift", "echo 'Swift version 6.2'"), ("id", "echo 1000"), ("apt-get", "echo 'apt-get runs' >&2"),
            ("sudo", sudo),
        ] {
            guard let text else { continue }
            try programs.write("#!/bin/sh\n\(text)\n", to: name, mode: 0o755)
        }
        // Without pkg-config something is missing; the script itself adds /usr/sbin.
        let script = try ChildProcess(
            Repository.root + "/scripts/install-dependencies", environment: ["PATH": programs.path])
        return (try await script.waitForExit(), script.standardError)
    }

    /// Whether the line says what root has to type.
    private static func namesTheCommand(_ text: String) -> Bool {
        text.contains(
            #/Missing: ([a-z0-9. -]*pkg-config[a-z0-9. -]*)\. As root: apt-get install --no-install-recommends \1\n/#)
    }

    @Test func withoutSudo() async throws {
        let (exit, text) = try await Self.run(sudo: nil)
        #expect(exit == .status(1))
        #expect(Self.namesTheCommand(text), "\(text)")
    }

    /// A user whom sudo does not know, and one who may run some programs only.
    @Test(arguments: [
        "echo 'x is not in the sudoers file.' >&2; exit 1",
        #"case "$*" in *install*) echo 'Sorry, user x is not allowed' >&2; exit 1 ;; esac; exec "$@""#,
    ])
    func aRefusedSudo(sudo: String) async throws {
        let (exit, text) = try await Self.run(sudo: sudo)
        #expect(exit == .status(1))
        #expect(Self.namesTheCommand(text), "\(text)")
        #expect(text.contains("sudoers") || text.contains("Sorry"))
    }

    @Test func aSudoThatWorks() async throws {
        let (exit, text) = try await Self.run(sudo: #"exec "$@""#)
        #expect(exit == .status(0))
        #expect(text == "apt-get runs\napt-get runs\n")
    }
}
