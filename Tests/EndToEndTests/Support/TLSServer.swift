import Foundation
import TestSupport

/// A central system behind TLS, by an nginx of its own, whose certificate a test chooses; it holds every HMAC valid.
final class TLSServer: Sendable {
    enum Certificate: String, CaseIterable, Sendable {
        case good
        case expired
        case ofAnotherHost
        case selfSigned
    }

    private let socket: ListeningSocket
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    /// Makes the certificates, by openssl, and starts.
    init(_ certificate: Certificate) async throws {
        directory = try TemporaryDirectory()
        socket = try ListeningSocket()
        let path = directory.path
        try await Self.run(Self.script(certificate), in: path)
        try directory.write(
            """
            daemon off;
            \(getuid() == 0 ? "user root;" : "")
            worker_processes 1;
            pid nginx.pid;
            error_log error.log;
            events { worker_connections 64; }
            http {
                client_body_temp_path body; fastcgi_temp_path fastcgi; proxy_temp_path proxy;
                uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                log_format requests '$request $http_authorization';
                access_log access.log requests;
                server {
                    listen 127.0.0.1:\(socket.port) ssl;
                    ssl_certificate leaf.pem;
                    ssl_certificate_key leaf.key;
                    location / { return 200 '{"valid":true}'; }
                }
            }
            """, to: "nginx.conf")
        var environment = ProcessInfo.processInfo.environment
        // As from an older nginx that this one replaces: the port is never anybody else's.
        environment["NGINX"] = "\(STDIN_FILENO);"
        process = try ChildProcess(
            NginxServer.executable, ["-e", "stderr", "-p", path, "-c", path + "/nginx.conf"],
            environment: environment, standardInput: socket.descriptor)
        try await eventually("the TLS server starts") { [process] in
            if process.ended != nil { throw NeverHappened(description: process.standardError) }
            return FileManager.default.fileExists(atPath: path + "/nginx.pid")
        }
    }

    var url: String { "https://127.0.0.1:\(socket.port)" }

    /// The requests it has had, with the key that came along.
    var requests: String {
        String(decoding: FileManager.default.contents(atPath: directory.path + "/access.log") ?? Data(), as: UTF8.self)
    }

    /// Whether a program can be made to trust `authority`; that takes a namespace of mounts.
    static let canBeTrusted: Bool = {
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: "/bin/sh")
        probe.arguments = ["-c", (namespace + ["test", "-f", trusted]).joined(separator: " ")]
        probe.standardError = nil
        guard (try? probe.run()) != nil else { return false }
        probe.waitUntilExit()
        return probe.terminationStatus == 0
    }()

    /// Put in front of a command it makes the authority of `good`, `expired` and `ofAnotherHost` the only one trusted.
    var trustingCommand: [String] {
        Self.namespace + [
            "sh", "-c", #"mount --bind "$0" "$1" && shift && exec "$@""#, directory.path + "/ca.pem", Self.trusted,
        ]
    }

    private static let namespace = ["unshare", "--mount"] + (getuid() == 0 ? [] : ["--map-root-user"])
    /// Where Debian's libcurl looks (curl-config --ca).
    private static let trusted = "/etc/ssl/certs/ca-certificates.crt"

    private static func script(_ certificate: Certificate) -> String {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        return """
            openssl req -x509 \(key) -days 2 -subj /CN=authority -keyout ca.key -out ca.pem &&
            openssl req \(key) -subj /CN=central -keyout leaf.key -out leaf.csr &&
            \(signature(certificate, "leaf.csr"))
            """
    }

    private static func signature(_ certificate: Certificate, _ request: String) -> String {
        let host = certificate == .ofAnotherHost ? "DNS:central.example,IP:192.0.2.1" : "IP:127.0.0.1"
        let days = certificate == .expired ? -1 : 1
        let sign = certificate == .selfSigned ? "-signkey leaf.key" : "-CA ca.pem -CAkey ca.key -CAcreateserial"
        return """
            echo subjectAltName=\(host) >san &&
            openssl x509 -req -in \(request) \(sign) -days \(days) -extfile san -out leaf.pem
            """
    }

    /// Stops it as a whole, connections being made included, or lets it go on.
    func pause(_ isPaused: Bool) {
        let signal = isPaused ? SIGSTOP : SIGCONT
        for pid in Vitals.children(of: process.pid) { kill(pid, signal) }
        process.send(signal: signal)
    }

    /// Takes a good certificate of the same authority in place of the one it has.
    func renew() async throws {
        try await Self.run(Self.signature(.good, "leaf.csr"), in: directory.path)
        let old = Set(Vitals.children(of: process.pid))
        process.send(signal: SIGHUP)
        // The old one must have gone: it would take connections until then.
        try await eventually("the TLS server has the new certificate") {
            let now = Set(Vitals.children(of: process.pid))
            return !now.isEmpty && now.isDisjoint(with: old)
        }
    }

    private static func run(_ script: String, in directory: String) async throws {
        let shell = try ChildProcess("sh", ["-c", script], workingDirectory: directory)
        guard try await shell.waitForExit() == .status(0) else {
            throw NeverHappened(description: "no certificate: \(shell.standardError)")
        }
    }
}
