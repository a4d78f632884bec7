import Foundation
import TestSupport
import Testing

/// The package's contents, as far as they can be judged without building it.
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
        for script in ["scripts/build-deb", "Tests/System/conftest.py", "Makefile", "debian/rules"] {
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

    @Test func theManualNamesEveryUnit() throws {
        let pages = try ["provider-fcgi.8", "provider-reporter.8"].map { try Repository.read("man/" + $0) }.joined()
        for file in try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/systemd") {
            guard ["service", "socket", "target", "timer"].contains(where: { file.hasSuffix("." + $0) }) else {
                continue
            }
            #expect(pages.contains(file), "\(file)")
        }
        for page in ["provider-client.5", "provider-fcgi.8", "provider-reporter.8"] {
            #expect(try Repository.read("man/" + page).contains("/etc/provider-client/api_key"), "\(page)")
        }
    }

    /// `--help` and the manual name the same statuses.
    @Test(arguments: [("provider-fcgi", "provider-fcgi.8"), ("provider-reporter", "provider-reporter.8")])
    func theManualNamesEveryExitStatus(program: String, page: String) async throws {
        let child = try ChildProcess(try BuiltProduct.path(program), ["--help"])
        #expect(try await child.waitForExit() == .status(0))
        let help = child.standardOutput.replacingOccurrences(of: "\n", with: " ")
        let sentence = try #require(help.firstMatch(of: #/Exit status: (.*?)\.( |$)/#)).1
        let statuses = sentence.matches(of: #/(^|, )([0-9]+) /#).map { String($0.2) }
        #expect(statuses.count > 3)
        let section = try #require(try Repository.read("man/" + page).components(separatedBy: ".Sh EXIT STATUS").last)
        let named = section.matches(of: #/\n\.It ([0-9]+)\n/#).map { String($0.1) }
        #expect(named == statuses)
    }

    @Test(arguments: ["provider-fcgi", "provider-reporter"], ["bash", "zsh", "fish"])
    func completionsAreThere(program: String, shell: String) async throws {
        let child = try ChildProcess(try BuiltProduct.path(program), ["--generate-completion-script", shell])
        #expect(try await child.waitForExit() == .status(0))
        let script = child.standardOutput
        #expect(script.contains("config"))
        #expect(!script.contains("nvml-probe"))
        if program == "provider-reporter" {
            for word in ["doctor", "site", "probe", "json", "bundle"] { #expect(script.contains(word), "\(word)") }
        }
        if shell == "zsh" { #expect(script.hasPrefix("#compdef \(program)\n")) }
        // The shell's own judgement, where it is installed.
        guard let path = Tool.path(shell) else { return }
        let directory = try TemporaryDirectory()
        let judge = try ChildProcess(path, ["-n", try directory.write(script, to: program)])
        #expect(try await judge.waitForExit() == .status(0), "\(judge.standardError)")
    }

    @Test func theInstalledConfigurationIsShortAndValid() async throws {
        let path = Repository.root + "/debian/config.yaml"
        let text = try Repository.read("debian/config.yaml")
        #expect(text.split(separator: "\n").count <= 20)
        for reference in ["provider-client(5)", "/usr/share/doc/provider-client/examples/config.example.yaml"] {
            #expect(text.contains(reference))
        }
        let child = try ChildProcess.worker(["--check-config", "--config", path], environment: [:])
        #expect(try await child.waitForExit() == .status(0), "\(child.standardError)")
        // No conffile: its changes would raise questions in upgrades.
        #expect(try !Repository.read("debian/rules").contains("debian/provider-client/etc/provider-client/config.yaml"))
    }

    /// Where a file of the repository is below /usr/share/doc/provider-client; nil when the package leaves it out.
    private static func installedPlaces(_ file: String) throws -> [String] {
        let documents = try Repository.read("debian/provider-client.docs").split(separator: "\n").map(String.init)
        if documents.contains(file) { return [file] }
        // A directory keeps its place.
        if let directory = file.split(separator: "/").first, documents.contains(String(directory)) { return [file] }
        let examples = try Repository.read("debian/provider-client.examples").split(separator: "\n")
        // A folder of examples keeps its name, which is below examples/ in the repository too.
        if examples.contains(where: { file.hasPrefix($0 + "/") }) { return [file] }
        let name = String(file.split(separator: "/").last ?? "")
        let pattern = file.contains("/") ? file.split(separator: "/")[0] + "/*.conf" : file[...]
        guard examples.contains(pattern[...]) else { return [] }
        let root = "usr/share/doc/provider-client/"
        let links = try Repository.read("debian/provider-client.links").split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
        let linked = links.compactMap { link -> String? in
            guard link.count == 2, link[1].hasPrefix(root) else { return nil }
            let place = String(link[1].dropFirst(root.count))
            if link[0] == root + "examples" { return place + "/" + name }
            return link[0] == root + "examples/" + name ? place : nil
        }
        return ["examples/" + name] + linked
    }

    /// A link of an installed document leads to an installed file, by the same relative path.
    @Test func theInstalledDocumentsLinksLead() throws {
        let documents =
            ["README.md", "CHANGELOG.md"]
            + (try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/docs")
                .filter { $0.hasSuffix(".md") }.map { "docs/" + $0 })
        var count = 0
        for document in documents {
            let base = document.hasPrefix("docs/") ? "/docs/" : "/"
            for match in try Repository.read(document).matches(of: /\]\(([^)#]+)(#[^)]*)?\)/) {
                let target = String(match.1)
                if target.hasPrefix("http") { continue }
                let path = String(URL(fileURLWithPath: base + target).standardized.path.dropFirst())
                #expect(FileManager.default.fileExists(atPath: Repository.root + "/" + path), "\(document): \(target)")
                #expect(try Self.installedPlaces(path).contains(path), "\(document): \(target) is not installed there")
                count += 1
            }
        }
        #expect(count > 10)
        // A compressed document has another name.
        #expect(try Repository.read("debian/rules").contains("dh_compress --exclude=.md"))
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
            try Repository.read("nginx/provider-worker.conf").firstMatch(of: /client_max_body_size ([1-9]\w*);/))
        #expect(fleet.1 == machine.1)
    }
}
