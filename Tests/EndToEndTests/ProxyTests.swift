import TestSupport
import Testing

/// What a proxy in the environment sees, and messages about the proxy.
@Suite struct ProxyTests {
    private static let hmac = ["X-Inferoute-HMAC: abc"]
    private static let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]

    private static func naming(_ proxy: String) -> [String: String] {
        Dictionary(uniqueKeysWithValues: variables.map { ($0, proxy) })
    }

    /// It would read the key, and could call every HMAC valid.
    @Test func aCentralOverPlainHTTPIsAskedDirectly() async throws {
        let proxy = try ScriptedServer(FakeCentral.valid)
        let settings = Self.naming(proxy.url)
        let deployment = try await Deployment(
            settings: settings,
            central: { request in
                let isHMAC = request.target == "/api/provider/validate_hmac"
                try request.respond(isHMAC ? 401 : 200, #"{"valid":false}"#)
            }, engine: FakeEngine.oneModel)
        let status = try await onThread { try deployment.complete(headers: Self.hmac).status }
        #expect(status == 401)
        let reporter = try Deployment.reporter(
            engine: deployment.engine, central: deployment.central, settings: settings)
        #expect(try await reporter.waitForExit() == .status(0))
        #expect(
            deployment.central.requests == [
                "POST /api/provider/validate_hmac HTTP/1.1", "POST /api/provider/health HTTP/1.1",
            ])
        #expect(proxy.requests.isEmpty)
    }

    /// Also a central system on another machine, by its name.
    @Test(.enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func aRemoteCentralSystemIsReachedDirectly() async throws {
        let proxy = try ScriptedServer(FakeCentral.valid)
        let central = try ScriptedServer(FakeCentral.invalid)
        let directory = try TemporaryDirectory()
        let hosts = try directory.write("127.0.0.1 central.example\n", to: "hosts")
        let settings = Self.naming(proxy.url).merging(["PROVIDER_URL": "http://central.example:\(central.port)"]) { $1 }
        let deployment = try await Deployment(
            settings: settings, workerCommand: MountNamespace.showing(hosts, as: "/etc/hosts"))
        let status = try await onThread { try deployment.complete(headers: Self.hmac).status }
        #expect(status == 401)
        #expect(central.requests.count == 1)
        #expect(proxy.requests.isEmpty)
    }

    /// libcurl quotes what it does not understand.
    @Test(arguments: [
        "foo://user:proxy-secret@127.0.0.1:9", "user:proxy-secret@127.0.0.1:9x", "http://user:proxy-secret",
        "http://user:proxy-secret@", "user:a'proxy-secret b@127.0.0.1:9x", "http://user:proxy-secret@127.0.0.1:9",
        "socks5h://user:proxy-secret@127.0.0.1:9", "http://user:proxy-secret@[::1", "proxy-secret:",
    ])
    func aProxysPasswordIsNotLogged(proxy: String) async throws {
        let settings = [
            "PROVIDER_URL": "https://central.invalid", "PROVIDER_LOG_LEVEL": "trace", "https_proxy": proxy,
        ]
        let deployment = try await Deployment(settings: settings, engine: FakeEngine.oneModel)
        let status = try await onThread { try deployment.complete(headers: Self.hmac).status }
        #expect(status == 503)
        let reporter = try Deployment.reporter(
            engine: deployment.engine, central: deployment.central, settings: settings)
        // It would try again for a minute.
        try await eventually("the reporter has tried") { reporter.standardError.contains("attempt 1: ") }
        #expect(deployment.worker.standardError.contains("HMAC cannot be validated: "))
        for log in [deployment.worker.standardError, reporter.standardError] {
            #expect(!log.contains("secret"), "\(log)")
        }
    }

    /// Without its URL, what is wrong is still told.
    @Test(arguments: [
        ("foo://127.0.0.1:9", "the proxy in https_proxy cannot be used ("),
        ("", "407"),
    ])
    func whatIsWrongWithAProxyIsSaid(url: String, words: String) async throws {
        let proxy = try ScriptedServer { request in
            try request.connection.send("HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
            request.closeAfterwards()
        }
        let deployment = try await Deployment(settings: [
            "PROVIDER_URL": "https://central.invalid", "https_proxy": url.isEmpty ? proxy.url : url,
        ])
        let status = try await onThread { try deployment.complete(headers: Self.hmac).status }
        #expect(status == 503)
        #expect(deployment.worker.standardError.contains(words), "\(deployment.worker.standardError)")
    }
}
