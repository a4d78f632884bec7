import Foundation
import TestSupport
import Testing

/// Who can connect: libfcgi trusts every client.
@Suite struct SocketAccessTests {
    private static func worker(
        _ arguments: [String] = [], _ environment: [String: String], standardInput: CInt? = nil
    ) throws -> ChildProcess {
        try ChildProcess.worker(
            arguments,
            environment: ["PATH": noPrograms, "PROVIDER_API_KEY": "key"].merging(environment) { $1 },
            standardInput: standardInput, logsToJournal: true)
    }

    private static func overTCP(_ host: String, allowRemote: String? = nil) -> [String: String] {
        var environment = ["PROVIDER_SERVER_SOCKET": "", "PROVIDER_SERVER_HOST": host]
        environment["PROVIDER_SERVER_ALLOW_REMOTE"] = allowRemote
        return environment
    }

    @Test(arguments: [
        "0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "central.example", "127.0.0.1.example", "localhost.example",
        "127.1",
        "0", "2130706433", "::ffff:192.0.2.1", "fe80::1%lo",
    ])
    func aRemoteAddressTakesPermission(host: String) async throws {
        for arguments in [["--check-config"], []] {
            let refused = try Self.worker(arguments, Self.overTCP(host))
            #expect(try await refused.waitForExit() == .status(78))
            let words = refused.standardError
            #expect(words.hasPrefix("provider-fcgi: environment variable PROVIDER_SERVER_HOST: server.host: "))
            #expect(words.contains("set server.allow_remote to true"))
            #expect(words.split(separator: "\n").count == 1)
        }
        let allowed = try Self.worker(["--check-config"], Self.overTCP(host, allowRemote: "true"))
        #expect(try await allowed.waitForExit() == .status(0))
        #expect(
            allowed.standardError.hasPrefix("provider-fcgi: warning: server.host: \(host) is not a loopback address"))
    }

    @Test(arguments: ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"])
    func loopbackNeedsNoPermission(host: String) async throws {
        let check = try Self.worker(["--check-config"], Self.overTCP(host))
        #expect(try await check.waitForExit() == .status(0))
        #expect(check.standardError == "")
        // Nothing is said of an address that is not used.
        let unused = try Self.worker(["--check-config"], ["PROVIDER_SERVER_HOST": "0.0.0.0"])
        #expect(try await unused.waitForExit() == .status(0))
        #expect(unused.standardError == "")
    }

    /// systemd and spawn-fcgi hand over what they were told to; a default of 0.0.0.0 is soon written.
    @Test func anInheritedSocketIsCheckedToo() async throws {
        for (address, isRemote) in [("0.0.0.0", true), ("127.0.0.1", false)] {
            let listener = try ListeningSocket(address: address)
            let refused = try Self.worker([], [:], standardInput: listener.descriptor)
            if isRemote {
                #expect(try await refused.waitForExit() == .status(73))
                #expect(
                    refused.standardError.contains(
                        "the socket on descriptor 0 listens on 0.0.0.0, which is not a loopback"))
                #expect(refused.standardError.contains("server.allow_remote"))
            } else {
                try await refused.waitUntilReady()
                #expect(!refused.standardError.contains("allow_remote"))
            }
            let allowed = try Self.worker(
                [], ["PROVIDER_SERVER_ALLOW_REMOTE": "true"], standardInput: listener.descriptor)
            try await allowed.waitUntilReady()
            #expect(allowed.standardError.contains("<4>the socket on descriptor 0 listens on 0.0.0.0") == isRemote)
        }
    }

    /// systemd's own default is 0666.
    @Test(arguments: [0o666, 0o662, 0o660, 0o664])
    func theModeOfAnInheritedSocketIsCheckedToo(mode: mode_t) async throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixListener(directory.path + "/fcgi.sock")
        #expect(chmod(listener.path, mode) == 0)
        let worker = try Self.worker([], [:], standardInput: listener.descriptor)
        try await worker.waitUntilReady()
        let warning =
            "<4>the socket on descriptor 0 is \(listener.path), to which every user of this machine can connect"
        #expect(worker.standardError.contains(warning) == (mode & 0o002 != 0))
    }

    /// An abstract name has no mode, so everyone may connect.
    @Test func anAbstractSocketIsOpenToAll() async throws {
        let directory = try TemporaryDirectory()
        let listener = try UnixListener("\0" + directory.path)
        let worker = try Self.worker([], [:], standardInput: listener.descriptor)
        try await worker.waitUntilReady()
        #expect(
            worker.standardError.contains("<4>the socket on descriptor 0 is @\(directory.path), to which every user"))
    }

    /// The address is taken up at the start; a reload neither opens it nor takes a file that no worker would start with.
    @Test func aReloadOpensNothing() async throws {
        let directory = try TemporaryDirectory()
        let listener = try ListeningSocket()
        func configure(_ more: String) throws -> String {
            try directory.write("server: {socket: \"\", \(more)}\n", to: "config.yaml", mode: 0o600)
        }
        let worker = try Self.worker(
            ["--config", try configure("host: 127.0.0.1")], [:], standardInput: listener.descriptor)
        try await worker.waitUntilReady()
        _ = try configure("host: 0.0.0.0")
        worker.send(signal: SIGHUP)
        try await eventually("it is refused") {
            worker.standardError.contains("<3>not reloaded, the configuration stays as it was: ")
        }
        #expect(worker.standardError.contains("config.yaml:1: server.host: \"0.0.0.0\" is not a loopback address"))
        _ = try configure("host: 0.0.0.0, allow_remote: true")
        worker.send(signal: SIGHUP)
        try await eventually("it waits for a restart") {
            worker.standardError.contains(
                "<4>takes a restart, the old value is kept: server.host, server.allow_remote\n")
        }
    }

    @Test func theSocketIsTheGroupsAlone() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/fcgi.sock"
        // A group that this user may give it to.
        let group = try #require(getgrgid(getgid()).map { String(cString: $0.pointee.gr_name) })
        let worker = try Self.worker(
            [], ["PROVIDER_SERVER_SOCKET": path, "PROVIDER_SERVER_SOCKET_GROUP": geteuid() == 0 ? "www-data" : group])
        try await worker.waitUntilReady()
        var info = stat()
        #expect(stat(path, &info) == 0)
        #expect(info.st_mode == S_IFSOCK | 0o660)
        #expect(info.st_uid == geteuid())
        #expect(info.st_gid == (geteuid() == 0 ? try #require(getgrnam("www-data")).pointee.gr_gid : getgid()))
    }

    /// As the kernel sees it: another user, with and without the group.
    @Test(.enabled(if: geteuid() == 0, "needs root, to be somebody else"))
    func onlyNginxCanConnect() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/fcgi.sock"
        #expect(chmod(directory.path, 0o755) == 0)
        let worker = try Self.worker(
            [], ["PROVIDER_SERVER_SOCKET": path, "PROVIDER_SERVER_SOCKET_GROUP": "www-data"])
        try await worker.waitUntilReady()
        // curl says 7 where it cannot connect; with a connection it misses an HTTP server behind it.
        for (groups, isLetIn) in [("--clear-groups", false), ("--groups=www-data", true)] {
            let stranger = try ChildProcess(
                "setpriv",
                ["--reuid=nobody", "--regid=nogroup", groups, "curl", "--silent", "--unix-socket", path, "http://a/"])
            let exit = try await stranger.waitForExit()
            #expect((exit == .status(7)) == !isLetIn, "\(groups): \(exit) \(stranger.standardError)")
            #expect(exit != .status(127))
        }
        #expect(worker.ended == nil)
    }
}
