import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct HTTPClientTests {
    private func fetch(_ url: String, maxBodyBytes: Int = 1000, by client: HTTPClient) throws(HTTPError) -> HTTPResponse
    {
        try client.fetch(
            HTTPRequest(.get, url, timeouts: HTTPTimeouts(connect: .patience, total: .patience)),
            maxBodyBytes: maxBodyBytes)
    }

    @Test func retryAfterIsSecondsOrADate() async throws {
        try await onThread {
            let value = SharedValue<String?>(nil)
            let server = try ScriptedServer { request in
                try request.respond(503, "", headers: value.value.map { ["retry-after: \($0)"] } ?? [])
            }
            // All on one connection: nothing is left of the response before.
            let client = HTTPClient(proxied: false)
            func pause(_ text: String?) throws -> Duration? {
                value.value = text
                return try fetch(server.url, by: client).retryAfter
            }
            #expect(try pause("7") == .seconds(7))
            #expect(try pause(nil) == nil)
            #expect(try pause("-7") == .zero)
            #expect(try pause("soon") == .zero)
            #expect(try pause("99999999999") == .seconds(86_400))
            #expect(try pause("Sun, 06 Nov 1994 08:49:37 GMT") == .zero)
            #expect(try pause("Fri, 31 Dec 2100 00:00:00 GMT") == .seconds(86_400))
            let date = Date.now.addingTimeInterval(3600).formatted(
                Date.VerbatimFormatStyle(
                    format: """
                        \(weekday: .abbreviated), \(day: .twoDigits) \(month: .abbreviated) \(year: .defaultDigits) \
                        \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits):\
                        \(second: .twoDigits) GMT
                        """,
                    locale: Locale(identifier: "en_US_POSIX"), timeZone: .gmt,
                    calendar: Calendar(identifier: .gregorian)))
            let untilDate = try #require(try pause(date))
            #expect((Duration.seconds(3000)...Duration.seconds(3600)).contains(untilDate))
            #expect(server.connectionCount == 1)
        }
    }

    @Test func aResponseLargerThanItsLimitIsAnError() async throws {
        try await onThread {
            let server = try ScriptedServer { try $0.respond(200, String(repeating: "x", count: 100)) }
            let client = HTTPClient(proxied: false)
            #expect(try fetch(server.url, maxBodyBytes: 100, by: client).body.count == 100)
            #expect(throws: HTTPError.tooLarge(limit: 99)) { try fetch(server.url, maxBodyBytes: 99, by: client) }
        }
    }

    /// A handler's own error comes back as it was thrown, and the server sees that the transfer has ended.
    @Test func aHandlersErrorEndsTheTransfer() async throws {
        try await onThread {
            let hungUp = Gate()
            let server = try ScriptedServer { request in
                try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                try request.connection.waitForHangUp()
                hungUp.open()
            }
            final class Picky: TransferHandler {
                struct Failure: Error, Equatable { let received: Int }

                func receive(head: HTTPResponseHead) {}
                func receive(body: RawSpan) throws(Failure) { throw Failure(received: body.byteCount) }
                func receivedAllSoFar() {}
                func sendBody(into buffer: inout MutableRawSpan) -> Int { 0 }
            }
            let handler = Picky()
            let request = HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(connect: .patience))
            do throws(TransferError<Picky.Failure>) {
                try Transfer(proxied: false, savesMemory: true).run(
                    request, maxBodyBytes: .max, handler: handler, interruption: nil)
                Issue.record("it ended well")
            } catch {
                let failure: Picky.Failure? = if case .stopped(let failure) = error { failure } else { nil }
                #expect(failure == Picky.Failure(received: 3), "\(error)")
            }
            try hungUp.wait()
        }
    }
}
