import Foundation
import TestSupport
import Testing

/// The worker against a FastCGI peer that is not nginx, or a broken one.
@Suite struct FastCGITests {
    private static func parameters(_ method: String, _ path: String, length: String) -> [(String, String)] {
        [("REQUEST_METHOD", method), ("DOCUMENT_URI", path), ("CONTENT_LENGTH", length)]
    }

    @Test(arguments: ["-5", "-1", "+2", "2 ", "0x2", "18446744073709551617"])
    func anInvalidLengthIsRefused(length: String) async throws {
        let deployment = try await Deployment()
        try await onThread {
            let peer = try FastCGIPeer(
                deployment.socket, parameters: Self.parameters("POST", "/v1/completions", length: length))
            try peer.send(body: "{}")
            try peer.send(body: "")
            let output = try peer.output()
            #expect(output.hasPrefix(length.count > 10 ? "Status: 413" : "Status: 400"))
            #expect(deployment.worker.ended == nil)
        }
    }

    /// A connection is for one request: the worker would never read a second.
    @Test func aKeptConnectionIsClosed() async throws {
        let deployment = try await Deployment()
        try await onThread {
            for _ in 0..<50 {
                let peer = try FastCGIPeer(
                    deployment.socket, keepsConnection: true, parameters: Self.parameters("GET", "/busy", length: ""))
                try peer.send(body: "")
                let output = try peer.output()
                #expect(output.hasPrefix("Status: 200"))
            }
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(deployment.worker.pid)/fd").count
            #expect(open < 40)
        }
    }

    /// More unfinished bodies than there are threads; what they hold, they hold for a moment only.
    @Test func endlessBodiesBlockNoOtherRequest() async throws {
        let deployment = try await Deployment(settings: ["PROVIDER_SERVER_MAX_IN_FLIGHT": "1"])
        try await onThread {
            let stuck = try (0..<20).map { _ in
                let peer = try FastCGIPeer(
                    deployment.socket, parameters: Self.parameters("POST", "/nothing", length: "100000"))
                try peer.send(body: "beginning")
                return peer
            }
            // Waits for no time limit, but would hang if the worker waited for one of them without end.
            let busy = try deployment.fetch("GET", "/busy")
            #expect(busy.status == 200)
            for peer in stuck { #expect(try peer.output().hasPrefix("Status: 404")) }
        }
    }

    @Test(arguments: [
        [UInt8](), [1], [1, 1, 0, 1, 0, 8, 0, 0], Array(repeating: 0xFF, count: 4096),
        [9, 9, 9, 9, 9, 9, 9, 9], [1, 4, 0, 1, 0xFF, 0xFF, 0, 0], [1, 2, 0, 1, 0, 0, 0, 0],
    ])
    func garbageIsDropped(bytes: [UInt8]) async throws {
        let deployment = try await Deployment()
        try await onThread {
            for _ in 0..<20 {
                let connection = try SocketConnection(path: deployment.socket)
                try connection.send(bytes)
                connection.close()
            }
            #expect(try deployment.complete().status == 200)
            #expect(deployment.worker.ended == nil)
        }
    }
}
