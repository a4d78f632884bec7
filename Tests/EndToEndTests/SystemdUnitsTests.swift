import Foundation
import TestSupport
import Testing

/// The units, judged by systemd itself.
@Suite(.enabled(if: Tool.isExpected("systemd-analyze"), "systemd-analyze is missing"))
struct SystemdUnitsTests {
    /// Templates, which are judged by an instance of theirs.
    private static let services = [
        "provider-fcgi@.service", "provider-fcgi.service", "provider-reporter.service",
        "provider-fcgi-rolling-restart.service",
    ]
    private static let names =
        services + [
            "provider-fcgi.socket", "provider-fcgi.target", "provider-reporter.timer", "provider-reporter-boot.timer",
        ]

    /// Copies with the built programs instead of installed programs, which systemd would miss.
    private static func copies() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let programs = [
            "/usr/bin/provider-fcgi": try BuiltProduct.path("provider-fcgi"),
            "/usr/bin/provider-reporter": try BuiltProduct.path("provider-reporter"),
            "/usr/libexec/provider-client/": Repository.root + "/systemd/",
        ]
        for name in names {
            var unit = try Repository.read("systemd/" + name)
            for (installed, built) in programs {
                unit = unit.replacingOccurrences(of: "=" + installed, with: "=" + built)
            }
            try directory.write(unit, to: name)
        }
        return directory
    }

    /// As the machine's manager reads units, or as a user's does where only root could make /run/systemd.
    private static func analyze(_ arguments: [String]) async throws -> (exit: ChildProcess.Exit, text: String) {
        let home = try TemporaryDirectory()
        let hasSystemd = geteuid() == 0 || FileManager.default.fileExists(atPath: "/run/systemd")
        var environment = ProcessInfo.processInfo.environment
        // A user's manager has directories of the user's.
        environment["HOME"] = home.path
        environment["XDG_RUNTIME_DIR"] = home.path
        let process = try ChildProcess(
            "systemd-analyze", (hasSystemd ? [] : ["--user"]) + arguments, environment: environment)
        return (try await process.waitForExit(), process.standardError + process.standardOutput)
    }

    private static func verify(_ directory: TemporaryDirectory) async throws -> (exit: ChildProcess.Exit, text: String)
    {
        try await analyze(
            ["verify"] + names.map { directory.path + "/" + $0.replacingOccurrences(of: "@.", with: "@1.") })
    }

    @Test func everyUnitIsTested() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/systemd")
        let units = files.filter { file in
            ["service", "socket", "target", "timer"].contains { file.hasSuffix("." + $0) }
        }
        #expect(units.sorted() == Self.names.sorted())
    }

    @Test func systemdFindsNothingToComplainOf() async throws {
        let (exit, text) = try await Self.verify(try Self.copies())
        #expect(exit == .status(0))
        // Unknown keys are only warnings.
        #expect(text == "")
    }

    @Test(arguments: [
        ("provider-fcgi@.service", "KillMode=mixed", "KillMood=mixed"),
        ("provider-fcgi@.service", "ExecStart=/", "ExecStart=/nowhere/"),
        ("provider-fcgi.socket", "SocketMode=0660", "SocketMode=rw"),
        ("provider-fcgi-rolling-restart.service", "ExecStart=/", "ExecStart=/nowhere/"),
        ("provider-fcgi.service", "ExecReload=/", "ExecReload=/nowhere/"),
        ("provider-reporter.timer", "OnUnitActiveSec=5min", "OnUnitActiveSec=sometimes"),
        ("provider-reporter-boot.timer", "OnBootSec=30s", "OnBootSec=soon"),
    ])
    func aMistakeWouldBeFound(file: String, right: String, wrong: String) async throws {
        let directory = try Self.copies()
        let unit = try String(contentsOfFile: directory.path + "/" + file, encoding: .utf8)
        let broken = unit.replacingOccurrences(of: right, with: wrong)
        try #require(broken != unit)
        try directory.write(broken, to: file)
        #expect(try await Self.verify(directory).text != "")
    }

    /// From 0 to 100: an exposure of at most 1.5 of 10.
    @Test(arguments: services)
    func littleIsExposed(service: String) async throws {
        let directory = try Self.copies()
        let (exit, text) = try await Self.analyze(
            ["security", "--offline=yes", "--threshold=15", "--no-pager", directory.path + "/" + service])
        #expect(exit == .status(0), "\(text)")
        #expect(text.contains("Overall exposure level"))
    }

    @Test func theWorkerHasTimeToDrain() throws {
        // server.drain_timeout is 600 s, after which the worker has 2 s to cut what is left.
        let limit = try #require(try Self.value("TimeoutStopSec", in: "provider-fcgi@.service").flatMap { Int($0) })
        #expect(limit > 602)
    }

    /// A run of the reporter ends by itself, and then says why.
    @Test func theReporterHasTimeForARun() throws {
        let example = try Repository.read("config.example.yaml")
        let run = try #require(example.firstMatch(of: /\n  report_timeout: ([0-9]+)\n/).flatMap { Int($0.1) })
        let limit = try #require(try Self.value("TimeoutStartSec", in: "provider-reporter.service").flatMap { Int($0) })
        #expect(limit >= run + 10)
    }

    /// The documented drop-in, beside the timer as shipped.
    @Test(arguments: [("", ""), ("=3min", "=soon")])
    func reportsEveryThreeMinutes(right: String, wrong: String) async throws {
        let document = try Repository.read("docs/OPERATIONS.md")
        let marks = #/systemctl edit provider-reporter.timer\n\n(?<text>(?: {8}.*\n)+)/#
        let shown = try #require(document.firstMatch(of: marks)?.text)
        var dropIn = shown.split(separator: "\n").map { $0.dropFirst(8) }.joined(separator: "\n") + "\n"
        #expect(dropIn == "[Timer]\nOnUnitActiveSec=\nOnUnitActiveSec=3min\n")
        if !right.isEmpty { dropIn.replace(right, with: wrong) }
        let directory = try Self.copies()
        let name = "provider-reporter.timer.d"
        try FileManager.default.createDirectory(
            atPath: directory.path + "/" + name, withIntermediateDirectories: false)
        try directory.write(dropIn, to: name + "/three-minutes.conf")
        #expect(try await Self.verify(directory).text.isEmpty == right.isEmpty)
    }

    /// ProtectSystem=strict leaves /run read-only, so each service that writes there names the directory of tmpfiles.
    @Test func workersAndReporterShareADirectory() throws {
        let line = try #require(
            try Repository.read("systemd/provider-client.tmpfiles").split(separator: "\n").first { !$0.hasPrefix("#") })
        #expect(line == "d /run/provider-client 2755 provider-client www-data -")
        let directory = line.split(separator: " ")[1]
        for name in ["provider-fcgi@.service", "provider-reporter.service"] {
            #expect(try Self.values("ReadWritePaths", in: name) == ["-\(directory)"])
        }
        let example = try Repository.read("config.example.yaml")
        #expect(example.contains("\n  scoreboard: \(directory)/scoreboard\n"))
        // nginx's group, as the socket's: nginx writes to handoff.sock there.
        let group = try #require(try Self.value("SocketGroup", in: "provider-fcgi.socket"))
        #expect(line.contains(" \(group) "))
    }

    @Test func theDevicesAreOpen() throws {
        for name in ["provider-fcgi@.service", "provider-reporter.service"] {
            // It would hide /dev/nvidia*.
            #expect(try Self.values("PrivateDevices", in: name) == [])
            let devices = try Self.values("DeviceAllow", in: name)
            for device in ["195", "nvidia", "nvidia-frontend", "nvidiactl", "nvidia-uvm", "nvidia-caps"] {
                #expect(devices.contains("char-\(device) rw"), "\(name)")
            }
            // WSL 2.
            #expect(devices.contains("/dev/dxg rw"), "\(name)")
        }
    }

    /// A start limit that an instance hits stops the socket that all share (socket_trigger_notify in systemd's socket.c).
    @Test func noInstanceTakesTheSocketAway() throws {
        #expect(try Self.value("StartLimitIntervalSec", in: "provider-fcgi@.service") == "0")
    }

    @Test func bothServicesAreRestrictedAlike() throws {
        let marker = "# --- Who it is"
        let parts = try ["provider-fcgi@.service", "provider-reporter.service"].map { name in
            let unit = try Repository.read("systemd/" + name)
            let start = try #require(unit.range(of: marker), "\(name)")
            let end = unit.range(of: "\n\n[Install]")?.lowerBound ?? unit.endIndex
            return unit[start.lowerBound..<end].trimmingCharacters(in: .whitespacesAndNewlines)
        }
        #expect(parts[0] == parts[1])
    }

    /// Settings that say what a service runs, and when: the worker stays, the other services run and end.
    private static let lifecycle: Set = [
        "Type", "RemainAfterExit", "ExecStart", "ExecStartPre", "ExecReload", "Restart", "RestartSec",
        "RestartPreventExitStatus", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "KillMode", "OOMPolicy",
        "Sockets", "StandardInput", "SyslogIdentifier", "LimitNOFILE", "Environment",
    ]

    /// Where the services that only ask systemd are restricted otherwise than the worker, and why.
    private static let differencesOfHelpers = [
        "User": "systemd lets root alone restart units",
        "Group": "root's own group",
        "CapabilityBoundingSet": "systemd asks for CAP_SYS_ADMIN",
        "PrivateUsers": "root of another user namespace is nobody to systemd",
        "IPAddressDeny": "they need no network",
        "PrivateNetwork": "they need no network",
        "RestrictAddressFamilies": "they need the bus alone",
        "PrivateDevices": "they need no GPU",
        "DevicePolicy": "PrivateDevices closes more",
        "DeviceAllow": "they need no GPU",
        "ReadWritePaths": "they write no file",
        "ProcSubset": "nvidia-smi reads /proc/driver, they do not",
        "MemoryDenyWriteExecute": "NVIDIA's libraries ask for an executable stack, shells do not",
    ]

    @Test(arguments: [
        ("provider-reporter.service", Set<String>()),
        ("provider-fcgi-rolling-restart.service", Set(differencesOfHelpers.keys)),
        // It reads no configuration, so it needs no key.
        ("provider-fcgi.service", Set(differencesOfHelpers.keys).union(["LoadCredential", "SetCredential"])),
    ])
    func servicesAreRestrictedAsTheWorkerExceptForKnownDifferences(service: String, known: Set<String>) throws {
        let worker = try Self.serviceSettings(in: "provider-fcgi@.service")
        let other = try Self.serviceSettings(in: service)
        try #require(worker.count > 30 && other.count > 30)
        let different = Set(worker.keys).union(other.keys).subtracting(Self.lifecycle).filter {
            worker[$0] != other[$0]
        }
        #expect(different == known)
    }

    /// Every value of each setting of [Service], in order.
    private static func serviceSettings(in unit: String) throws -> [String: [String]] {
        var isService = false
        var settings: [String: [String]] = [:]
        for line in try Repository.read("systemd/" + unit).split(separator: "\n") {
            if line.hasPrefix("[") { isService = line == "[Service]" }
            guard isService, !line.hasPrefix("#"), let sign = line.firstIndex(of: "=") else { continue }
            settings[String(line[..<sign]), default: []].append(String(line[line.index(after: sign)...]))
        }
        return settings
    }

    /// Not even a worker's own user; only nginx.
    @Test func theSocketIsNginxsAlone() throws {
        let socket = "provider-fcgi.socket"
        #expect(try Self.value("SocketMode", in: socket) == "0660")
        #expect(try Self.value("SocketGroup", in: socket) == "www-data")
        #expect(try Self.values("SocketUser", in: socket) == [])
        #expect(try Self.values("ListenStream", in: socket) == ["/run/provider-client/fcgi.sock"])
    }

    /// Memory holds prompts and the key.
    @Test(arguments: services)
    func noCoreIsLeft(service: String) throws {
        #expect(try Self.value("LimitCORE", in: service) == "0")
        // The key is handed over as a file that root alone can read, and is in no variable.
        if service != "provider-fcgi.service" {
            #expect(try Self.values("LoadCredential", in: service) == ["api_key:/etc/provider-client/api_key"])
        }
        let names = service == "provider-fcgi@.service" ? ["WORKER_NAME=%N"] : []
        #expect(try Self.values("Environment", in: service) == names)
    }

    /// With AccuracySec= and the delay of the first report, five minutes pass between two reports.
    @Test func reportsAreFiveMinutesApart() async throws {
        let timer = "provider-reporter.timer"
        var seconds = 0.0
        for key in ["OnUnitActiveSec", "AccuracySec"] {
            let value = try #require(try Self.value(key, in: timer))
            let (exit, text) = try await Self.analyze(["timespan", value])
            try #require(exit == .status(0), "\(text)")
            let microseconds = try #require(text.firstMatch(of: /s: ([0-9]+)\n/)).1
            seconds += try #require(Double(microseconds)) / 1_000_000
        }
        // The mission's five minutes, and what systemd may add to each time.
        #expect(seconds <= 300.001)
        #expect(seconds > 240)
        // One setting: a delay or a calendar beside it would change the interval that a drop-in asks for.
        let triggers = try Repository.read("systemd/" + timer).split(separator: "\n").filter {
            $0.hasPrefix("On") || $0.hasPrefix("Randomized")
        }
        #expect(triggers.count == 1, "\(triggers)")
    }

    /// The package installs every program of ours that a unit starts.
    @Test func thePackageHasWhatTheUnitsStart() throws {
        let rules = try Repository.read("debian/rules")
        for service in Self.services {
            let commands = try ["ExecStart", "ExecStartPre", "ExecReload"].flatMap { try Self.values($0, in: service) }
            #expect(!commands.isEmpty)
            for command in commands where command.hasPrefix("/usr/libexec/provider-client/") {
                let program = command.split(separator: " ")[0].split(separator: "/").last ?? ""
                #expect(rules.contains("systemd/\(program)"), "\(command)")
            }
        }
    }

    private static func values(_ key: String, in unit: String) throws -> [String] {
        try Repository.read("systemd/" + unit).split(separator: "\n").filter { $0.hasPrefix(key + "=") }
            .map { String($0.dropFirst(key.count + 1)) }
    }

    private static func value(_ key: String, in unit: String) throws -> String? {
        try values(key, in: unit).first
    }
}
