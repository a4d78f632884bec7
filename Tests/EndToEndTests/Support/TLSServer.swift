import Foundation
import TestSupport

/// A central system behind TLS, by another nginx with a certificate that the test chooses.
final class TLSServer: Sendable {
    enum Certificate: String, CaseIterable, Sendable {
        case good
        case expired
        case ofAnotherHost
        case selfSigned
    }

    private let directory: TemporaryDirectory
    private let nginx: NginxServer
    /// What it is when it has no TLS.
    private let central: ScriptedServer

    /// Makes the certificates, by openssl, and starts.
    ///
    /// - Parameter response: status and body of each response; nil for the verdicts of a good central system.
    init(_ certificate: Certificate, response: (status: Int, body: String)? = nil) async throws {
        central = try ScriptedServer { request in
            guard let response else { return try FakeCentral.valid(request) }
            try request.respond(response.status, response.body)
        }
        directory = try TemporaryDirectory()
        let reservation = try PortReservation()
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
                    listen 127.0.0.1:\(reservation.port) ssl;
                    ssl_certificate leaf.pem;
                    ssl_certificate_key leaf.key;
                    location / { proxy_pass \(central.url); }
                }
            }
            """, to: "nginx.conf")
        nginx = try await NginxServer(directory, on: reservation)
    }

    var port: Int { nginx.port }

    var url: String { "https://127.0.0.1:\(nginx.port)" }

    /// The requests it has had, with the key that came along.
    var requests: String { nginx.accessLog }

    /// In front of a command, it makes the authority of `good`, `expired` and `ofAnotherHost` the only trusted authority: in
    /// the file that Debian's libcurl reads (curl-config --ca).
    var trustingCommand: [String] {
        MountNamespace.showing(directory.path + "/ca.pem", as: "/etc/ssl/certs/ca-certificates.crt")
    }

    private static func script(_ certificate: Certificate) -> String {
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        return """
            openssl req -x509 \(key) -days 60 -subj /CN=authority -keyout ca.key -out ca.pem &&
            openssl req \(key) -subj /CN=central -keyout leaf.key -out leaf.csr &&
            \(signature(certificate))
            """
    }

    private static func signature(_ certificate: Certificate) -> String {
        let host = certificate == .ofAnotherHost ? "DNS:central.example,IP:192.0.2.1" : "IP:127.0.0.1"
        let days = certificate == .expired ? -1 : 30
        let sign = certificate == .selfSigned ? "-signkey leaf.key" : "-CA ca.pem -CAkey ca.key -CAcreateserial"
        return """
            echo subjectAltName=\(host) >san &&
            openssl x509 -req -in leaf.csr \(sign) -days \(days) -extfile san -out leaf.pem
            """
    }

    /// Stops it as a whole, connections being made included, or lets it go on.
    func pause(_ isPaused: Bool) {
        guard let pid = nginx.pid else { return }
        for process in Vitals.children(of: pid) + [pid] { kill(process, isPaused ? SIGSTOP : SIGCONT) }
    }

    /// Replaces its certificate by another certificate of the same authority.
    func renew(_ certificate: Certificate) async throws {
        guard let pid = nginx.pid else { return }
        try await Self.run(Self.signature(certificate), in: directory.path)
        let old = Set(Vitals.children(of: pid))
        kill(pid, SIGHUP)
        // The old one must have gone: it would take connections until then.
        try await eventually("the TLS server has the new certificate") {
            let now = Set(Vitals.children(of: pid))
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
