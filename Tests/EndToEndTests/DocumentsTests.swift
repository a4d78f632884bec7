import Foundation
import TestSupport
import Testing

/// What docs/ tells a reader to write, tried.
struct DocumentsTests {
    /// The indented block that follows a line, without its indentation.
    private static func block(after line: String, in document: String) throws -> String {
        let text = try Repository.read(document)
        let start = try #require(text.firstRange(of: line), "\(document): \(line)").upperBound
        let lines = text[start...].split(separator: "\n", omittingEmptySubsequences: false)
        let body = lines.drop { !$0.hasPrefix("    ") }.prefix { $0.isEmpty || $0.hasPrefix("    ") }
        return body.map { $0.dropFirst(4) }.joined(separator: "\n") + "\n"
    }

    /// Runs the commands that copy units and nginx's include, with another directory as the machine's root.
    private static func copiesForASecondEngine() async throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        var script = try block(after: "gets copies of the units. As root:", in: "docs/OPERATIONS.md")
        for (place, other) in [
            ("\"/lib/systemd/system/", "\"\(Repository.root)/systemd/"),
            ("\"/etc/systemd/system/", "\"\(directory.path)/"),
            (" \"/etc/nginx/snippets/", " \"\(Repository.root)/nginx/"),
            (">\"/etc/nginx/snippets/", ">\"\(directory.path)/"),
        ] {
            try #require(script.contains(place), "\(place)")
            script = script.replacingOccurrences(of: place, with: other)
        }
        let shell = try ChildProcess("/bin/sh", ["-eu", "-c", script])
        #expect(try await shell.waitForExit() == .status(0), "\(shell.standardError)")
        return directory
    }

    /// No copy shares a unit, a socket, a key or a configuration with the first engine.
    @Test func theUnitsOfASecondEngineAreTheirOwn() async throws {
        let directory = try await Self.copiesForASecondEngine()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        let units = names.filter { !$0.hasSuffix(".conf") }
        #expect(units.count == 6)
        for name in units {
            let text = try String(contentsOfFile: directory.path + "/" + name, encoding: .utf8)
            let others = text.replacingOccurrences(of: "second-provider-", with: "")
            #expect(others.firstMatch(of: /provider-(?:fcgi|reporter)[.@\-]/) == nil, "\(name)")
            #expect(!text.contains("/fcgi.sock") && !text.contains("/provider-client/api_key"), "\(name)")
            guard name.hasSuffix(".service") else { continue }
            #expect(text.contains("\nEnvironment=PROVIDER_CONFIG=/etc/provider-client/second.yaml\n"), "\(name)")
            #expect(text.contains("\nLoadCredential=api_key:/etc/provider-client/second_api_key\n"), "\(name)")
        }
        // Each unit that another copy names is there, but for the service that speaks for all workers.
        let target = try String(contentsOfFile: directory.path + "/second-provider-fcgi.target", encoding: .utf8)
        #expect(target.contains("\nWants=second-provider-fcgi.socket second-provider-fcgi@1.service"))
        #expect(units.contains("second-provider-fcgi@.service") && units.contains("second-provider-fcgi.socket"))
    }

    @Test(.enabled(if: Tool.isExpected("systemd-analyze"), "systemd-analyze is missing"))
    func systemdAcceptsTheUnitsOfASecondEngine() async throws {
        let directory = try await Self.copiesForASecondEngine()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        for name in names where name.hasSuffix(".service") {
            let path = directory.path + "/" + name
            var text = try String(contentsOfFile: path, encoding: .utf8)
                .replacingOccurrences(of: "=/usr/libexec/provider-client/", with: "=\(Repository.root)/systemd/")
            for program in ["provider-fcgi", "provider-reporter"] {
                let built = try BuiltProduct.path(program)
                text = text.replacingOccurrences(of: "=/usr/bin/" + program, with: "=" + built)
            }
            try directory.write(text, to: name)
        }
        let home = try TemporaryDirectory()
        let hasSystemd = geteuid() == 0 || FileManager.default.fileExists(atPath: "/run/systemd")
        let units = names.filter { !$0.hasSuffix(".conf") }.map {
            directory.path + "/" + $0.replacingOccurrences(of: "@.", with: "@1.")
        }
        let judge = try ChildProcess(
            "systemd-analyze", (hasSystemd ? [] : ["--user"]) + ["verify"] + units,
            environment: [
                "HOME": home.path, "XDG_RUNTIME_DIR": home.path,
                "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "",
            ])
        #expect(try await judge.waitForExit() == .status(0))
        #expect(judge.standardError + judge.standardOutput == "")
    }

    /// The second engine's site beside the shipped site.
    @Test func nginxAcceptsTheSiteOfASecondEngine() async throws {
        let copies = try await Self.copiesForASecondEngine()
        let locations = try String(contentsOfFile: copies.path + "/second-locations.conf", encoding: .utf8)
        let worker = try String(contentsOfFile: copies.path + "/second-worker.conf", encoding: .utf8)
        #expect(locations.contains("include snippets/second-worker.conf;"))
        #expect(!locations.contains("snippets/provider-worker.conf"))
        #expect(worker.contains("fastcgi_pass unix:/run/provider-client/second.sock;"))
        let site = try Self.block(after: "`/etc/nginx/sites-available/second`:", in: "docs/OPERATIONS.md")
        #expect(site.contains("include snippets/second-locations[.]conf;"))
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try prefix.write(locations, to: "snippets/second-locations.conf")
        try prefix.write(worker, to: "snippets/second-worker.conf")
        try prefix.write(
            site.replacingOccurrences(of: "/var/log/nginx/", with: ""), to: "sites-enabled/second.conf")
        try await Self.expectAccepted(prefix)
    }

    @Test func nginxAcceptsTheReverseProxy() async throws {
        let locations = try Self.block(after: "requests to port 8080. In nginx:", in: "docs/OPERATIONS.md")
        #expect(locations.contains("proxy_pass http://127.0.0.1:8080;"))
        let prefix = try await NginxServer.prefix(port: 8080, workerSocket: "/nowhere/fcgi.sock")
        try prefix.write(
            "server { listen 127.0.0.1:8081;\n" + locations + "}\n", to: "sites-enabled/public.conf")
        try await Self.expectAccepted(prefix)
    }

    private static func expectAccepted(_ prefix: TemporaryDirectory) async throws {
        let nginx = try ChildProcess(NginxServer.executable, ["-t"] + NginxServer.arguments(prefix))
        #expect(try await nginx.waitForExit() == .status(0), "\(nginx.standardError)")
    }

    /// The protocol's examples, sent to the sandbox's central system.
    @Test func theSandboxAcceptsTheDocumentedReport() async throws {
        let request = try Self.block(after: "`GET /health` returns the same object.", in: "docs/CENTRAL.md")
        let body = try #require(request.firstRange(of: "\n\n").map { request[$0.upperBound...] })
        let report = body.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined()
        let length = try #require(request.firstMatch(of: /Content-Length: ([0-9]+)/)?.1)
        #expect(report.utf8.count == Int(length))
        var environment = ProcessInfo.processInfo.environment
        environment["PROVIDER_API_KEY"] = "the-key"
        let sandbox = try ChildProcess(
            try BuiltProduct.path("provider-sandbox"), ["--serve", "central"], environment: environment)
        try await eventually("the sandbox is ready") { sandbox.standardOutput.hasSuffix("\n") }
        let line = sandbox.standardOutput
        let central = try #require(line.firstMatch(of: /central=(\S+)/).map { String($0.1) })
        let response = try await curl(
            central + "/api/provider/health", "-H", "Authorization: Bearer the-key", "-d", report)
        #expect(response.status == 200, "\(response.body)")
    }

    /// Each key of a report has a row of the table.
    @Test func everyKeyOfTheReportIsExplained() throws {
        let text = try Repository.read("docs/CENTRAL.md")
        let request = try Self.block(after: "`GET /health` returns the same object.", in: "docs/CENTRAL.md")
        let table = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.joined(separator: "\n")
        // The keys of a single GPU are in docs/GPU.md.
        let others: Set<Substring> = ["index", "mig_devices", "power", "temperature", "url"]
        for match in request.matches(of: /"([a-z_]+)":/) where !others.contains(match.1) {
            #expect(table.contains(match.1), "\(match.1)")
        }
    }

    /// Every document of the repository, by its path there.
    static func documents() throws -> [String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/docs").sorted()
        return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            + names.filter { $0.hasSuffix(".md") }.map { "docs/" + $0 }
    }

    /// A link leads to a file of the repository, and to a heading in it, by the name that GitHub gives the heading.
    @Test func everyLinkLeads() throws {
        var (files, sections) = (0, 0)
        for document in try Self.documents() {
            let base = document.hasPrefix("docs/") ? "/docs/" : "/"
            for match in try Repository.read(document).matches(of: /\]\(([^)#]*)(?:#([^)]+))?\)/) {
                if match.1.contains("://") { continue }
                let target =
                    match.1.isEmpty
                    ? document : String(URL(fileURLWithPath: base + match.1).standardized.path.dropFirst())
                files += 1
                #expect(
                    FileManager.default.fileExists(atPath: Repository.root + "/" + target), "\(document): \(match.0)")
                guard let section = match.2 else { continue }
                sections += 1
                let headings = try Repository.read(target).split(separator: "\n").filter { $0.hasPrefix("#") }
                #expect(headings.map(Self.anchor).contains(String(section)), "\(document): \(match.0)")
            }
        }
        #expect(files > 60 && sections > 30)
    }

    @Test func theIndexNamesEveryDocument() throws {
        let index = try Repository.read("docs/README.md")
        for document in try Self.documents() where document != "docs/README.md" {
            let path = document.hasPrefix("docs/") ? String(document.dropFirst(5)) : "../" + document
            #expect(index.contains("](\(path))"), "\(document)")
        }
        #expect(try Repository.read("README.md").split(separator: "\n", omittingEmptySubsequences: false).count <= 150)
    }

    /// A reader finds each source file that a document names.
    @Test(arguments: [
        "docs/ARCHITECTURE.md", "docs/DECISIONS.md", "docs/GPU.md", "docs/PERFORMANCE.md", "CONTRIBUTING.md",
    ])
    func everySourceFileIsThere(document: String) throws {
        var names: Set<Substring> = []
        for folder in document == "docs/ARCHITECTURE.md" ? ["Sources"] : ["Sources", "Tests"] {
            let paths = FileManager.default.enumerator(atPath: Repository.root + "/" + folder)
            for case let path as String in paths ?? .init() { names.insert(path.split(separator: "/").last ?? "") }
        }
        let named = try Repository.read(document).matches(of: /[A-Za-z]+\.swift\b/).map { $0.0 }
        #expect(Set(named).subtracting(names) == [])
        if document == "docs/ARCHITECTURE.md" { #expect(named.count > 20) }
    }

    private static func anchor(_ heading: Substring) -> String {
        let title = heading.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces).lowercased()
        return title.replacing(" ", with: "-").filter { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
    }
}
