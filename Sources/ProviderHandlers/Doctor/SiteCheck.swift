import FoundationEssentials

/// What the worker says of itself, as far as other checks use it.
struct WorkerView: Sendable, Equatable {
    /// Of all GPUs it reports.
    var uuids: Set<String> = []
    var models: Set<String> = []
    /// Why the GPU state is unknown to it; nil when it is known.
    var gpuTrouble: String?
    /// Age of its newest GPU sample in seconds, from the status page; nil where that is not served.
    var sampleAge: Double?

    /// - Parameter body: of a response to GET /health, whatever its status; nil for anything else.
    init?(health body: [UInt8]) {
        struct Health: Decodable {
            struct Model: Decodable { let id: String }
            struct GPU: Decodable {
                struct Entry: Decodable { let uuid: String? }
                let gpus: [Entry]
            }
            let data: [Model]
            let gpu: GPU?
            let errors: [String]?
            /// Only to tell a report from another object.
            let providerType: String
            enum CodingKeys: String, CodingKey {
                case data, gpu, errors
                case providerType = "provider_type"
            }
        }
        guard let health = try? JSONDecoder().decode(Health.self, from: Data(body)) else { return nil }
        uuids = Set(health.gpu?.gpus.compactMap(\.uuid) ?? [])
        models = Set(health.data.map(\.id))
        gpuTrouble = health.errors?.first { $0.hasPrefix("gpu: ") }
    }
}

/// What responds at a base URL: this program behind nginx, or something else.
struct SiteReply: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        /// The worker.
        case worker
        /// nginx with one of our error pages, by its code.
        case nginx(code: String)
        /// Something else; what it says, in a few words.
        case other(String)
        /// No HTTP response.
        case failed(HTTPError)
    }

    var kind: Kind
    var view: WorkerView?

    static func look(_ url: String, _ http: HTTPClient, total: Duration) -> Self {
        let kind = kind(of: fetch(url + "/busy", http, total))
        guard kind == .worker, case .success(let health) = fetch(url + "/health", http, total) else {
            return Self(kind: kind)
        }
        return Self(kind: kind, view: WorkerView(health: health.body))
    }

    static func fetch(_ url: String, _ http: HTTPClient, _ total: Duration) -> Result<HTTPResponse, HTTPError> {
        let headers = [HTTPHeader("Accept", "application/json"), HTTPHeader("Accept-Encoding", "identity")]
        let request = HTTPRequest(
            .get, url, headers: headers, timeouts: HTTPTimeouts(connect: .seconds(3), total: total))
        do throws(HTTPError) {
            return .success(try http.fetch(request, maxBodyBytes: 4 * 1024 * 1024))
        } catch {
            return .failure(error)
        }
    }

    /// - Parameter busy: what came of GET /busy.
    static func kind(of busy: Result<HTTPResponse, HTTPError>) -> Kind {
        struct Busy: Decodable { let busy: Bool }
        struct Failure: Decodable {
            struct Details: Decodable { let code: String }
            let error: Details
        }
        switch busy {
        case .failure(let error): return .failed(error)
        case .success(let response):
            let body = Data(response.body)
            let hasID = response.head.headers.first("X-Request-Id") != nil
            if response.head.status == 200, hasID, (try? JSONDecoder().decode(Busy.self, from: body)) != nil {
                return .worker
            }
            if hasID, let code = try? JSONDecoder().decode(Failure.self, from: body).error.code,
                SiteCheck.codes.contains(code)
            {
                return .nginx(code: code)
            }
            let server = response.head.headers.first("Server").map { " of \(ForeignText.short($0))" } ?? ""
            return .other("a response\(server) with status \(response.head.status)")
        }
    }
}

/// Whether nginx's site is ours and agrees with the configuration.
struct SiteCheck: Sendable {
    /// The codes of nginx's own error pages (nginx/provider-http.conf) that GET /busy can get.
    static let codes: Set = ["worker_unavailable", "worker_timeout", "rate_limited", "gateway_error"]
    /// The codes that speak of the worker.
    static let workerTroubles: Set = ["worker_unavailable", "worker_timeout"]

    var url: String
    var reply: SiteReply
    var files: NginxFiles
    var handoff = NginxUpstream.Finding.agrees
    /// What nginx said to a large body; nil when it took the body, or was not asked.
    var bodyTrouble: BodyTrouble?

    enum BodyTrouble: Sendable, Equatable {
        /// It could not keep the body.
        case notKept(bytes: Int)
        /// It refused the body, which `server.max_body_bytes` allows.
        case refused(bytes: Int)
    }

    var kind: SiteReply.Kind { reply.kind }

    /// More than nginx keeps in memory (`client_body_buffer_size`, 1 MiB): it writes this body to its disk (bytes).
    private static let largeBody = 4 * 1024 * 1024

    /// - Parameter probes: whether a large body is sent.
    static func look(
        _ url: String, _ configuration: Configuration, _ http: HTTPClient, statusURL: String, probes: Bool
    ) -> Self {
        var reply = SiteReply.look(url, http, total: .seconds(6))
        if reply.view != nil, case .success(let status) = SiteReply.fetch(statusURL, http, .seconds(2)) {
            reply.view?.sampleAge = sampleAge(in: status.body)
        }
        return Self(
            url: url, reply: reply, files: NginxFiles.look(configuration.server),
            handoff: NginxUpstream.check(configuration, path: nil),
            bodyTrouble: probes && reply.kind == .worker ? sendLargeBody(to: url, configuration, http) : nil)
    }

    /// The HMAC is made up, so the body goes no further than the worker.
    private static func sendLargeBody(
        to url: String, _ configuration: Configuration, _ http: HTTPClient
    ) -> BodyTrouble? {
        let size = min(largeBody, configuration.server.maxBodyBytes)
        let headers = [
            HTTPHeader("Content-Type", "application/json"),
            HTTPHeader(configuration.provider.hmacHeader, CentralCheck.madeUpHMAC()),
        ]
        let request = HTTPRequest(
            .post, url + "/v1/completions", headers: headers, body: .bytes([UInt8](repeating: 0x20, count: size)),
            timeouts: HTTPTimeouts(connect: .seconds(3), total: .seconds(10)))
        // No response says nothing of nginx: the worker may wait for the central system.
        guard let response = try? http.fetch(request, maxBodyBytes: 64 * 1024) else { return nil }
        if response.head.status == 413 { return .refused(bytes: size) }
        let isFailure = SiteReply.kind(of: .success(response)) == .nginx(code: "gateway_error")
        return isFailure ? .notKept(bytes: size) : nil
    }

    /// `gpu.sample_age_seconds` of the status page's document.
    static func sampleAge(in body: [UInt8]) -> Double? {
        struct Status: Decodable {
            struct GPU: Decodable {
                let sampleAge: Double?
                enum CodingKeys: String, CodingKey { case sampleAge = "sample_age_seconds" }
            }
            let gpu: GPU?
        }
        return try? JSONDecoder().decode(Status.self, from: Data(body)).gpu?.sampleAge
    }

    // MARK: The judgement

    /// - Parameter worker: the findings of the worker, on which nginx depends.
    func finding(_ configuration: Configuration, worker: [Finding]) -> Finding {
        switch kind {
        case .failed(.unreachable(let cause)):
            return .fail(
                .nginxSite, "\(url): \(cause)",
                fix: (url.hasPrefix("https://") ? "name the site with http:// in --site, or " : "")
                    + "systemctl start nginx, or name the site with --site")
        case .failed(.timedOut) where worker.contains { $0.code == .workerRunning && $0.isFailure }:
            return .skip(.nginxSite, because: .workerRunning)
        case .failed(let error): return .fail(.nginxSite, "\(url): \(error)", fix: "systemctl restart nginx")
        case .other(let words):
            return .fail(
                .nginxSite, "\(url): \(words), which is not this program's",
                fix: "enable the site provider-client in nginx, or name the site with --site")
        case .nginx(let code) where Self.workerTroubles.contains(code):
            // The worker's own fault has its own line.
            guard !worker.contains(where: \.isFailure) else {
                return .ok(.nginxSite, "\(url): the site is ours; it reports \(code)")
            }
            return .fail(
                .nginxSite, "\(url) reports \(code), although the worker responds",
                fix:
                    "make fastcgi_pass in nginx name \(WorkerSocket(server: configuration.server).name), and let nginx's "
                    + "group connect (server.socket_group)")
        case .nginx(let code) where code == "gateway_error":
            return .fail(.nginxSite, "\(url) reports gateway_error", fix: "read nginx's error log")
        case .worker, .nginx: return agreement(configuration)
        }
    }

    private func agreement(_ configuration: Configuration) -> Finding {
        switch handoff {
        case .disagrees(let problem):
            return .fail(.nginxSite, problem, fix: "name the engine of ollama.url in provider-upstream.conf")
        case .unknown(let problem):
            return .warn(.nginxSite, problem, fix: "install the files that docs/HANDOFF.md names")
        case .agrees: break
        }
        if case .notKept(let bytes) = bodyTrouble {
            return .fail(
                .nginxSite, "\(url): gateway_error for a body of \(bytes) bytes",
                fix:
                    "make room on the disk of nginx's request bodies (client_body_temp_path): df -h /var/lib/nginx/body"
            )
        }
        if let difference = files.difference(from: configuration) { return difference }
        if case .refused(let bytes) = bodyTrouble {
            return .warn(
                .nginxSite,
                "\(url) refuses a body of \(bytes) bytes (413), but server.max_body_bytes is "
                    + "\(configuration.server.maxBodyBytes)",
                fix: "make client_max_body_size in nginx equal to server.max_body_bytes")
        }
        return .ok(.nginxSite, "\(url): the site is ours; \(files.words)")
    }
}
