import FlyingFox
import FlyingSocks
import Foundation

/// An HTTP server on 127.0.0.1.
struct LocalServer: Sendable {
    /// RFC 9110, 5.6.7.
    private static let date: DateFormatter = {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = .gmt
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return formatter
    }()

    let name: String
    private let server: HTTPServer

    /// - Parameters:
    ///   - name: its name in the ready line and in errors.
    ///   - port: 0 lets the kernel choose.
    init(_ name: String, port: UInt16, respond: @escaping @Sendable (HTTPRequest) async -> HTTPResponse) {
        self.name = name
        let address: sockaddr_in = .inet(port: port).onLoopback
        server = HTTPServer(
            // A buffered completion of many tokens takes long.
            config: .init(address: address, timeout: 86_400, logger: .disabled),
            handler: ClosureHTTPHandler { request in
                var response = await respond(request)
                // As every server with a clock does (RFC 9110, 6.6.1): doctor compares the clocks.
                response.headers[HTTPHeader("Date")] = Self.date.string(from: .now)
                return response
            })
    }

    /// Serves until the process ends.
    ///
    /// - Throws: when it cannot listen.
    func run() async throws {
        do {
            try await server.run()
        } catch {
            throw Failure(description: "\(name): cannot serve: \(error.localizedDescription)")
        }
    }

    /// Its base URL, once it listens.
    func url() async throws -> String {
        try await server.waitUntilListening()
        guard case .ip4(let address, let port) = await server.listeningAddress else {
            throw Failure(description: "\(name): has no address")
        }
        return "http://\(address):\(port)"
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}

extension sockaddr_in {
    fileprivate var onLoopback: sockaddr_in {
        var address = self
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}

extension HTTPResponse {
    /// A response in JSON.
    static func json(_ status: Int, _ value: some Encodable) -> HTTPResponse {
        let body = (try? JSONEncoder.snakeCase.encode(value)) ?? Data()
        return json(status, body)
    }

    static func json(_ status: Int, _ body: Data) -> HTTPResponse {
        HTTPResponse(
            statusCode: HTTPStatusCode(status, phrase: "Sandbox"), headers: [.contentType: "application/json"],
            body: body)
    }

    static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(
            statusCode: HTTPStatusCode(status, phrase: "Sandbox"),
            headers: [.contentType: "text/plain; charset=utf-8"], body: Data(text.utf8))
    }
}

extension JSONEncoder {
    /// Names as both APIs write them; the same value gives the same bytes.
    static var snakeCase: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}

extension JSONDecoder {
    /// The counterpart.
    static var snakeCase: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }
}
