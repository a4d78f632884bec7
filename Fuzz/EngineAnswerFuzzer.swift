@testable import ProviderHandlers

/// Feeds an engine's answer through the head parser and the relay, in pieces and with an end that the input decides.
///
/// Input: a byte for the pieces' size, a byte for how it ends, then the answer from its status line on.
func fuzzEngineAnswer(_ bytes: [UInt8]) {
    guard bytes.count > 2 else { return }
    let pieceSize = Int(bytes[0]) + 1
    let answer = bytes.dropFirst(2)
    let client = MemoryClient(Request(method: "POST", path: "/v1/completions", contentLength: 0))
    let exchange = Exchange(client)
    let relay = ResponseRelay(exchange, RequestBody(client, limit: 1000), heldBytes: HeldBytes())
    let (head, body) = parseHead(answer)
    do {
        if let head {
            try relay.receive(head: head)
            for piece in stride(from: body.startIndex, to: body.endIndex, by: pieceSize) {
                let end = min(piece + pieceSize, body.endIndex)
                try body.span.extracting(piece - body.startIndex..<end - body.startIndex).withUnsafeBytes {
                    try relay.receive(body: $0.bytes)
                }
                if bytes[1] & 1 == 0 { try relay.receivedAllSoFar() }
            }
        }
        try end(relay, how: bytes[1])
    } catch {
        // A refusal or a client that has gone: either is an outcome.
    }
    // One that had come whole counts, however the transfer ended.
    let isWhole = head?.headers.first("Content-Length") == String(body.count)
    check(client, isCut: bytes[1] & 0b1110 != 0 && !isWhole)
}

/// Ends the transfer as one of the ways it can end.
private func end(_ relay: ResponseRelay, how: UInt8) throws {
    switch how >> 1 & 0b111 {
    case 0: try relay.finish()
    case 1: try relay.fail(.broken("x"))
    case 2: try relay.fail(.timedOut("idle"))
    case 3: try relay.fail(.cancelled(.shutdown))
    case 4: try relay.fail(.cancelled(.clientGone))
    case 5: try relay.fail(.unreachable("x"))
    default: try relay.fail(.tooLarge(limit: 1))
    }
}

private func parseHead(_ answer: ArraySlice<UInt8>) -> (HTTPResponseHead?, ArraySlice<UInt8>) {
    var parser = HeadParser()
    var rest = answer
    while let end = rest.firstIndex(of: 0x0A) {
        let line = Array(rest[...end])
        rest = rest[(end + 1)...]
        if let head = parser.add(line.span.bytes) { return (head, rest) }
    }
    return (nil, rest)
}

/// A stream that was cut never looks whole, and an answer of another kind is there whole or not at all.
private func check(_ client: MemoryClient, isCut: Bool) {
    guard let head = client.head else { return }
    for name in ["connection", "transfer-encoding", "keep-alive", "x-accel-redirect", "status"] {
        precondition(!head.headers.contains { $0.name.equalsIgnoringCase(name) }, name)
    }
    if head.headers.contains(where: { $0.name == "X-Accel-Buffering" }) { return }
    precondition(!isCut || client.isBrokenOff || client.answer.isEmpty)
}
