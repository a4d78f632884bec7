import Foundation
import TestSupport
import Testing

/// Many at once, and much at once.
@Suite struct LoadTests {
    @Test func sixtyFourStreamsAndStillAResponseForEverybodyElse() async throws {
        let finish = Gate()
        let deployment = try await Deployment(engine: { request in
            guard request.method == "POST" else { return try request.respond(404, "") }
            try request.stream(["a"], pausingAt: finish)
        })
        try await onThread {
            let streams = try (0..<64).map { _ in try deployment.startCompletion().response() }
            for stream in streams {
                let chunk = try stream.body.next()
                #expect(String(decoding: chunk, as: UTF8.self) == "data: a\n\n")
            }
            #expect(
                try deployment.fetch("GET", "/busy").body
                    == #"{"busy":true,"reason":"too_many_requests_in_flight"}"#)
            #expect(try deployment.fetch("GET", "/health").status == 503)
            let refused = try deployment.complete()
            #expect(refused.status == 503)
            #expect(refused.body.contains(#""code":"too_many_requests_in_flight""#))
            for _ in streams { finish.open() }
            for stream in streams {
                let rest = try stream.body.all()
                #expect(String(decoding: rest, as: UTF8.self) == "data: [DONE]\n\n")
            }
            try deployment.waitUntil("all places are free") {
                try deployment.fetch("GET", "/busy").body == #"{"busy":false}"#
            }
        }
    }

    /// 100 MB up and 100 MB down; the worker's memory stays where it was.
    @Test(.measuresMemory)
    func constantMemory() async throws {
        let size = 100_000_000
        let seen = SharedValue("")
        let deployment = try await Deployment(
            settings: ["PROVIDER_SERVER_MAX_BODY_BYTES": "200000000"],
            nginxDirectives: {
                """
                location = /large {
                    client_max_body_size 0;
                    fastcgi_pass "unix:\($0)";
                    fastcgi_param DOCUMENT_URI /v1/completions;
                    include /etc/nginx/fastcgi_params;
                }
                """
            },
            engine: { request in
                seen.value = "\(try request.body.count())"
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                let piece = String(repeating: "y", count: size / 100)
                for _ in 0..<100 { try request.connection.send(piece) }
            })
        try await onThread {
            #expect(try deployment.complete().status == 200)
            let before = Vitals.kibibytes("VmHWM", of: deployment.worker.pid) ?? .max
            let probe = try HTTPProbe(
                port: deployment.nginx.port, "POST", "/large", body: String(repeating: "x", count: size))
            let response = try probe.response()
            #expect(response.status == 200)
            #expect(try response.body.count() == size)
            #expect(seen.value == String(size))
            // Up to 8 MiB of a response are held back, in an array that may be copied while it grows.
            let after = Vitals.kibibytes("VmHWM", of: deployment.worker.pid) ?? .max
            #expect(after - before < 40 * 1024, "\(before) KiB, then \(after) KiB")
        }
    }

    /// Eight responses of 7 MiB at once, and then again: what they took is the system's again.
    @Test(.measuresMemory)
    func memoryIsGivenBack() async throws {
        let size = 7 * 1024 * 1024
        let deployment = try await Deployment(engine: { try $0.respond(200, String(repeating: "y", count: size)) })
        try await onThread {
            #expect(try deployment.complete().status == 200)
            let before = Vitals.kibibytes("VmRSS", of: deployment.worker.pid) ?? .max
            for _ in 0..<2 {
                let probes = try (0..<8).map { _ in try deployment.startCompletion() }
                for probe in probes { #expect(try probe.response().body.count() == size) }
            }
            // A third of what was held at once, at most.
            try deployment.waitUntil("memory is given back") {
                (Vitals.kibibytes("VmRSS", of: deployment.worker.pid) ?? .max) - before < 18 * 1024
            }
        }
    }
}
