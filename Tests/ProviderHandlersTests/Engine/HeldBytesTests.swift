import TestSupport
import Testing

@testable import ProviderHandlers

/// Buffered responses share a bounded memory.
@Suite struct HeldBytesTests {
    @Test func noMoreThanTheLimitIsGiven() {
        let bytes = HeldBytes(limit: 10)
        #expect(bytes.claim(10))
        #expect(!bytes.claim(1))
        bytes.giveBack(4)
        #expect(!bytes.claim(5))
        #expect(bytes.claim(4))
    }

    /// A response for which there is no memory is passed on as it comes, with its length, and its cut is visible.
    @Test(arguments: [true, false])
    func withoutMemoryAResponseIsPassedOn(isCut: Bool) async throws {
        let size = 50_000
        try await onThread {
            let fixture = try PipelineFixture(
                heldBytes: HeldBytes(limit: 40_000),
                engine: { request in
                    _ = try request.bodyText()
                    try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                    try request.connection.send(String(repeating: "x", count: isCut ? size - 1 : size))
                    request.closeAfterwards()
                })
            for _ in 0..<3 {
                let response = fixture.complete()
                #expect(response.status == 200)
                #expect(response.header("Content-Length") == "\(size)")
                #expect(response.text == String(repeating: "x", count: isCut ? size - 1 : size))
                #expect(response.isBrokenOff == isCut)
            }
        }
    }

    /// The memory of a response is there for the next response, however the first ended.
    @Test func memoryComesBack() async throws {
        try await onThread {
            let bytes = HeldBytes(limit: 100_000)
            let fixture = try PipelineFixture(
                heldBytes: bytes,
                engine: { request in
                    let isCut = try request.bodyText() == "cut"
                    try request.connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
                    try request.connection.send(String(repeating: "x", count: isCut ? 49_999 : 50_000))
                    request.closeAfterwards()
                })
            for _ in 0..<5 {
                #expect(fixture.complete().header("Content-Length") == "50000")
                // Held back, or it could not become a 502.
                #expect(fixture.complete("cut").status == 502)
            }
            #expect(bytes.claim(100_000))
        }
    }
}
