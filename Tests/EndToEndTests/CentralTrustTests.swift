import Foundation
import TestSupport
import Testing

/// The API key goes to the central system only, and only its verdicts count.
@Suite struct CentralTrustTests {
    private static let hmac = ["X-Inferoute-HMAC: abc"]

    private static func isUnavailable(_ response: Deployment.Response) -> Bool {
        response.status == 503 && response.body.contains(#""code":"hmac_unavailable""#)
    }

    /// Whatever kind of redirect, and whether it stays on the host or not.
    @Test func noRedirectIsFollowed() async throws {
        let other = try ScriptedServer(FakeCentral.valid)
        let places = [other.url + "/api/provider/validate_hmac", "/elsewhere", "//127.0.0.1:\(other.port)/"]
        let redirects = [301, 302, 303, 307, 308].flatMap { status in places.map { (status, $0) } }
        let turn = Counter()
        let deployment = try await Deployment(
            central: { request in
                let (status, place) = redirects[turn.next() % redirects.count]
                try request.respond(status, "", headers: ["Location: \(place)"])
            }, engine: FakeEngine.oneModel)
        try await onThread {
            for redirect in redirects {
                let response = try deployment.complete(headers: Self.hmac)
                #expect(Self.isUnavailable(response), "\(redirect)")
            }
            #expect(Set(deployment.central.requests) == ["POST /api/provider/validate_hmac HTTP/1.1"])
            #expect(deployment.central.requests.count == redirects.count)
            #expect(deployment.engine.requests.isEmpty)
        }
        for _ in 0..<places.count {
            let environment = Deployment.environment(engine: deployment.engine, central: deployment.central, gpu: nil)
            let reporter = try ChildProcess.reporter(environment: environment)
            #expect(try await reporter.waitForExit() == .status(77))
        }
        #expect(other.requests.isEmpty)
    }

    /// In each response of the engine and of the central system, it changes nothing for the next request.
    @Test func theEngineIsNeverGivenTheKey() async throws {
        let seen = SharedValue("")
        let deployment = try await Deployment(engine: { request in
            for field in request.head.fields { seen.value += "\(field.name): \(field.value)\n" }
            try request.respond(
                401, "{}", headers: ["WWW-Authenticate: Basic realm=a", "Set-Cookie: a=b", "Location: /b"])
        })
        try await onThread {
            for _ in 0..<3 { #expect(try deployment.complete(headers: Self.hmac).status == 401) }
            _ = try deployment.fetch("GET", "/health")
            #expect(deployment.engine.requests.count > 3)
            #expect(!seen.value.contains(Deployment.apiKey))
            #expect(!seen.value.lowercased().contains("authorization"))
            #expect(!seen.value.lowercased().contains("cookie"))
        }
    }

    /// A proxy's response to CONNECT is not the central system's verdict, and the proxy sees no key.
    @Test(arguments: [(200, ""), (401, #"{"valid":false}"#), (403, "{}"), (407, ""), (200, #"{"valid":true}"#)])
    func aProxyIsNotCentral(status: Int, body: String) async throws {
        let seen = SharedValue("")
        let proxy = try ScriptedServer { request in
            for field in request.head.fields { seen.value += "\(field.name): \(field.value)\n" }
            try request.connection.send(
                "HTTP/1.1 \(status) Status\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            request.closeAfterwards()
        }
        let deployment = try await Deployment(settings: [
            "PROVIDER_URL": "https://central.invalid", "https_proxy": proxy.url, "PROVIDER_HMAC": "required",
        ])
        try await onThread {
            let response = try deployment.complete(headers: Self.hmac)
            #expect(Self.isUnavailable(response))
            #expect(proxy.requests == ["CONNECT central.invalid:443 HTTP/1.1"])
            #expect(!seen.value.contains(Deployment.apiKey))
            #expect(deployment.engine.requests.isEmpty)
        }
    }

    /// Nor is a successful response to CONNECT: the central system's own status follows it.
    @Test(
        .enabled(if: Tool.isExpected("openssl"), "openssl is missing"),
        .enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func centralCountsThroughAProxy() async throws {
        let central = try await TLSServer(.good, response: (401, "who?"))
        let target = central.port
        let proxy = try ScriptedServer { request in
            let other = try SocketConnection(port: target)
            try request.connection.send("HTTP/1.1 200 Connected\r\nX-Proxy: 1\r\n\r\n")
            let client = request.connection
            Thread.detachNewThread { Self.pump(from: other, to: client) }
            Self.pump(from: client, to: other)
            request.closeAfterwards()
        }
        let deployment = try await Deployment(
            settings: ["PROVIDER_URL": central.url, "https_proxy": proxy.url], workerCommand: central.trustingCommand)
        try await onThread {
            let response = try deployment.complete(headers: Self.hmac)
            #expect(Self.isUnavailable(response))
            #expect(proxy.requests == ["CONNECT 127.0.0.1:\(target) HTTP/1.1"])
            #expect(
                deployment.worker.standardError.contains("the central system refuses the API key of this machine (401)")
            )
            try deployment.waitUntil("central has logged it") {
                central.requests.contains("Bearer \(Deployment.apiKey)")
            }
        }
    }

    private static func pump(from source: SocketConnection, to target: SocketConnection) {
        while let piece = try? source.read(), !piece.isEmpty, (try? target.send(piece)) != nil {}
        target.shutDown()
    }

    /// The engine is on this machine; prompts take no way round by a proxy.
    @Test func theEngineIsAskedDirectly() async throws {
        let proxy = try ScriptedServer { try $0.respond(200, #"{"through":"the proxy"}"#) }
        let deployment = try await Deployment(settings: [
            "http_proxy": proxy.url, "https_proxy": proxy.url, "all_proxy": proxy.url, "ALL_PROXY": proxy.url,
        ])
        try await onThread {
            let response = try deployment.complete()
            #expect(response.body == "{}")
            #expect(proxy.requests.isEmpty)
        }
    }

    @Test(
        .enabled(if: Tool.isExpected("openssl"), "openssl is missing"),
        .enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"),
        arguments: [
            (TLSServer.Certificate.good, ""), (.expired, "certificate has expired"),
            (.ofAnotherHost, "no alternative certificate subject name matches"),
            (.selfSigned, "self-signed certificate"),
        ])
    func certificatesAreVerified(certificate: TLSServer.Certificate, cause: String) async throws {
        let central = try await TLSServer(certificate)
        let deployment = try await Deployment(
            settings: ["PROVIDER_URL": central.url], workerCommand: central.trustingCommand)
        try await onThread {
            let response = try deployment.complete(headers: Self.hmac)
            if certificate == .good {
                #expect(response.status == 200)
                try deployment.waitUntil("central has logged it") { central.requests.contains("\n") }
                #expect(
                    central.requests == "POST /api/provider/validate_hmac HTTP/1.1 Bearer \(Deployment.apiKey)\n")
            } else {
                #expect(Self.isUnavailable(response))
                #expect(deployment.worker.standardError.contains(cause))
                #expect(central.requests.isEmpty)
                #expect(deployment.engine.requests.isEmpty)
            }
        }
    }

    /// With the machine's own authorities, and without any namespace.
    @Test(.enabled(if: Tool.isExpected("openssl"), "openssl is missing"))
    func anUnknownAuthorityIsNotTrusted() async throws {
        let central = try await TLSServer(.good)
        let deployment = try await Deployment(settings: ["PROVIDER_URL": central.url])
        try await onThread {
            let response = try deployment.complete(headers: Self.hmac)
            #expect(Self.isUnavailable(response))
            #expect(central.requests.isEmpty)
        }
    }

    /// A look-up that never ends holds neither the request nor, later, the worker's end.
    @Test(.enabled(if: MountNamespace.isPossible, "no namespace of mounts can be made here"))
    func aHangingResolver() async throws {
        let directory = try TemporaryDirectory()
        // A program that opens it to read waits for a writer, and no writer comes.
        let hosts = directory.path + "/hosts"
        #expect(mkfifo(hosts, 0o644) == 0)
        let deployment = try await Deployment(
            settings: ["PROVIDER_URL": "http://central.example"],
            workerCommand: MountNamespace.showing(hosts, as: "/etc/hosts"))
        try await onThread {
            for _ in 0..<2 {
                let response = try deployment.complete(headers: Self.hmac)
                #expect(Self.isUnavailable(response))
            }
            #expect(deployment.worker.standardError.contains("connect time-out"))
            #expect(try deployment.complete().status == 200)
        }
        deployment.worker.terminate()
        #expect(try await deployment.worker.waitForExit() == .status(0))
    }

    /// Plain http where https is configured is no central system either.
    @Test func noFallBackToPlainHTTP() async throws {
        let central = try ScriptedServer(FakeCentral.valid)
        let deployment = try await Deployment(settings: ["PROVIDER_URL": "https://127.0.0.1:\(central.port)"])
        try await onThread {
            let response = try deployment.complete(headers: Self.hmac)
            #expect(Self.isUnavailable(response))
            #expect(central.requests.allSatisfy { !$0.contains("HTTP/1") })
        }
    }
}
