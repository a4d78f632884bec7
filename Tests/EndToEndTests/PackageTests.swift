import Foundation
import TestSupport
import Testing

/// What the package is made of, as far as it can be judged without building it.
struct PackageTests {
    @Test func theChangelogHasTheProgramsVersion() throws {
        let source = try Repository.read("Sources/ProviderHandlers/Version.swift")
        let version = try #require(source.firstMatch(of: /providerClientVersion = "([^"]+)"/)).1
        let changelog = try Repository.read("debian/changelog")
        #expect(changelog.hasPrefix("provider-client (\(version)) "))
        #expect(try Repository.read("CHANGELOG.md").contains("\n## \(version)"))
    }

    /// Nothing else is a name of an architecture that the package is built for.
    @Test func thePackageIsForBothArchitectures() throws {
        #expect(try Repository.read("debian/control").contains("\nArchitecture: amd64 arm64\n"))
        for script in ["scripts/build-deb", "scripts/test-system", "Makefile", "debian/rules"] {
            let text = try Repository.read(script)
            #expect(!text.contains("amd64") && !text.contains("arm64"), "\(script)")
        }
    }

    /// Sections and keys of the example, which another test compares with the schema.
    private static func keys() throws -> [(path: String, value: String)] {
        var section = ""
        var keys: [(path: String, value: String)] = []
        for line in try Repository.read("config.example.yaml").components(separatedBy: "\n") {
            if let match = line.wholeMatch(of: /([a-z]+):/) { section = String(match.1) }
            if let match = line.wholeMatch(of: #/  ([a-z_]+): (.+)/#) {
                keys.append(("\(section).\(match.1)", String(match.2)))
            }
        }
        return keys
    }

    @Test func theManualNamesEveryKeyWithItsDefault() throws {
        let page = try Repository.read("man/provider-client.5").components(separatedBy: "\n")
        let keys = try Self.keys()
        #expect(keys.count > 20)
        for (path, value) in keys {
            let item = page.first { $0.hasPrefix(".It Ic \(path) Pq ") }
            // Quotation marks and links are macros there.
            let words = value == "\"\"" ? "Qq \"\"" : value
            #expect(item?.hasSuffix(" \(words)") == true, "\(path): \(item ?? "missing")")
        }
        let named = page.compactMap { $0.firstMatch(of: #/^\.It Ic ([a-z]+\.[a-z_]+) /#)?.1 }.map(String.init)
        #expect(Set(named).subtracting(keys.map(\.path)) == [], "keys that there are no more")
    }

    @Test(
        .enabled(if: Tool.isExpected("mandoc"), "mandoc is missing"),
        arguments: [
            "provider-client.5", "provider-fcgi.8", "provider-reporter.8",
        ])
    func theManualIsWellFormed(page: String) async throws {
        let mandoc = try ChildProcess("mandoc", ["-T", "lint", "-W", "warning", Repository.root + "/man/" + page])
        #expect(try await mandoc.waitForExit() == .status(0))
        #expect(mandoc.standardOutput + mandoc.standardError == "")
    }

    @Test(arguments: [
        ("provider-fcgi", "provider-fcgi.8", ["config", "check-config", "nginx-upstream", "help", "version"]),
        ("provider-reporter", "provider-reporter.8", ["config", "dry-run", "every", "help", "version"]),
    ])
    func theManualNamesEveryOption(program: String, page: String, options: [String]) async throws {
        let child = try ChildProcess(try BuiltProduct.path(program), ["--help"])
        #expect(try await child.waitForExit() == .status(0))
        let offered = Set(child.standardOutput.matches(of: /--([a-z-]+)/).map { String($0.1) })
        #expect(offered == Set(options))
        let text = try Repository.read("man/" + page)
        for option in offered { #expect(text.contains(".It Fl Fl \(option)"), "--\(option)") }
    }

    @Test func nginxAcceptsTheFleet() async throws {
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try prefix.write(
            try Repository.read("nginx/fleet.conf")
                .replacingOccurrences(of: "/var/log/nginx/", with: ""), to: "sites-enabled/provider.conf")
        let nginx = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        #expect(try await nginx.waitForExit() == .status(0), "\(nginx.standardError)")
    }

    /// One machine and the fleet in front of it refuse what is too large alike.
    @Test func theFleetHasTheMachinesLimit() throws {
        let fleet = try #require(
            try Repository.read("nginx/fleet.conf").firstMatch(of: /client_max_body_size ([1-9]\w*);/))
        let machine = try #require(
            try Repository.read("nginx/provider-locations.conf").firstMatch(of: /client_max_body_size ([1-9]\w*);/))
        #expect(fleet.1 == machine.1)
    }
}
