@testable import ProviderHandlers

/// Feeds an engine's response through the head parser and the relay, in pieces and with an end that the input decides.
///
/// Input: a byte for the pieces' size, a byte for how it ends, then the response from its status line on.
func fuzzEngineResponse(_ bytes: [UInt8]) {
    guard bytes.count > 2 else { return }
    let (head, body) = parseHead(bytes.dropFirst(2))
    // Once as ever, and once with so little room that responses are passed on before they are whole.
    for limit in [64 * 1024 * 1024, 64] {
        let held = HeldBytes(limit: limit)
        relay(head, body, held, pieceSize: Int(bytes[0]) + 1, isFlushed: bytes[1] & 1 == 0, Ending(bytes[1] >> 1))
        precondition(held.claim(limit), "held for good")
    }
}

private enum Ending {
    case whole
    case failed(TransferError<Interrupted>)
    case clientGone

    init(_ number: UInt8) {
        self =
            switch number & 0b111 {
            case 0: .whole
            case 1: .failed(.failed(.broken("x")))
            case 2: .failed(.failed(.timedOut("idle")))
            case 3: .failed(.stopped(.refused(.shuttingDown)))
            case 4: .clientGone
            case 5: .failed(.stopped(.refused(.bodyTooLarge(limit: 1))))
            default: .failed(.failed(.tooLarge(limit: 1)))
            }
    }
}

private func relay(
    _ head: HTTPResponseHead?, _ body: ArraySlice<UInt8>, _ held: HeldBytes, pieceSize: Int, isFlushed: Bool,
    _ ending: Ending
) {
    let client = FakeClient(Request(method: "POST", path: "/v1/completions", contentLength: 0), canLeave: false)
    let relay = ResponseRelay(Exchange(client), RequestBody(client, limit: 1000), heldBytes: held)
    var wasPassing = false
    do {
        if let head {
            try relay.receive(head: head)
            for start in stride(from: body.startIndex, to: body.endIndex, by: pieceSize) {
                let piece = Array(body[start..<min(start + pieceSize, body.endIndex)])
                try relay.receive(body: piece.span.bytes)
                if isFlushed { try relay.receivedAllSoFar() }
            }
        }
        wasPassing = client.response.head != nil
        switch ending {
        case .whole: try relay.finish()
        case .failed(let error): try relay.fail(error)
        case .clientGone: try relay.fail(.stopped(.clientGone))
        }
    } catch {
        // A refusal or a client that has gone: either is an outcome.
    }
    let response = client.response
    guard let head, let sent = response.head else {
        return precondition(response.body.isEmpty && !response.isBrokenOff)
    }
    check(sent)
    if sent.headers.first("X-Accel-Buffering") != nil, EndToEndHeaders.isCoded(head) {
        // Nothing that anybody could read may follow: a cut shows in how it ends.
        precondition(response.body.elementsEqual(body))
        if case .failed = ending { precondition(response.isBrokenOff) } else { precondition(!response.isBrokenOff) }
    } else if sent.headers.first("X-Accel-Buffering") != nil {
        checkStream(response.body, of: body, isDelimited: EndToEndHeaders.isDelimited(head), ending)
    } else if wasPassing {
        // Nothing can be said behind it: a cut shows in how it ends.
        precondition(response.body.elementsEqual(body))
        if case .failed = ending { precondition(response.isBrokenOff) } else { precondition(!response.isBrokenOff) }
    } else {
        // Buffered: a complete response counts, however the transfer ended; an incomplete response leaves nothing.
        let isWhole = head.headers.first("Content-Length") == String(body.count)
        if case .clientGone = ending { preconditionFailure("nobody is there") }
        if case .failed = ending { precondition(isWhole) }
        precondition(response.body.elementsEqual(body) && !response.isBrokenOff)
        let hasNone = [204, 304].contains(head.status)
        if EndToEndHeaders.isJSON(head, Array(body)), !EndToEndHeaders.isDelimited(head),
            !EndToEndHeaders.isCoded(head), !hasNone
        {
            // Not whether the JSON is valid within: that is the engine's business.
            let ends = [UInt8(ascii: "{"): UInt8(ascii: "}"), UInt8(ascii: "["): UInt8(ascii: "]")]
            let text = body.filter { $0 > 0x20 }
            precondition(!text.isEmpty && ends[text[0]].map { $0 == text.last } ?? true, "half of a JSON")
        }
        precondition(sent.headers.first("Content-Length") == (hasNone ? nil : String(body.count)))
    }
}

private func parseHead(_ response: ArraySlice<UInt8>) -> (HTTPResponseHead?, ArraySlice<UInt8>) {
    var parser = HeadParser()
    var rest = response
    while let end = rest.firstIndex(of: 0x0A) {
        let line = Array(rest[...end])
        rest = rest[(end + 1)...]
        if let head = parser.add(line.span.bytes) { return (head, rest) }
    }
    return (nil, rest)
}

/// Nothing that nginx would obey, and nothing of the engine's connection.
private func check(_ head: HTTPResponseHead) {
    for header in head.headers {
        let name = header.name.lowercased()
        precondition(!["connection", "transfer-encoding", "keep-alive", "status"].contains(name), name)
        precondition(!name.hasPrefix("x-accel-") || header == HTTPHeader("X-Accel-Buffering", "no"), name)
    }
}

// MARK: - Streams

/// A cut stream never looks complete; a complete stream passes unchanged.
private func checkStream(_ response: [UInt8], of body: ArraySlice<UInt8>, isDelimited: Bool, _ ending: Ending) {
    precondition(response.starts(with: body), "the engine's own bytes")
    let added = response.dropFirst(body.count)
    let hasEnd = hasDone(body)
    if hasEnd { precondition(added.isEmpty, "nothing comes after the end") }
    switch ending {
    case .clientGone: precondition(added.isEmpty)
    case .failed: precondition(added.isEmpty == hasEnd)
    case .whole:
        let says = { (word: String) in EventStream.lines(of: body).contains { holds($0, word) } }
        // A proper end is believed, unless events in OpenAI's shape say otherwise.
        if isDelimited && !says("choices") { precondition(added.isEmpty) }
        if !isDelimited && !hasEnd && !says("finish_reason") && !says("error") { precondition(!added.isEmpty) }
    }
    guard !added.isEmpty else { return }
    // Only our event follows, and no cut event swallows it.
    let events = EventStream.events(in: response)
    precondition(events.count == EventStream.events(in: body + [0x0A, 0x0A]).count + 1, "not an event of its own")
    precondition(((json(events.last ?? []) as? [String: Any])?["error"] as? [String: Any])?["code"] is String)
    precondition(!hasDone(response[...]), "an end after the cut")
}

private func holds(_ line: [UInt8], _ word: String) -> Bool {
    let word = Array(word.utf8)
    return line.indices.contains { line[$0...].starts(with: word) }
}

/// Whether OpenAI's last event has come, after which its clients read no further.
private func hasDone(_ stream: some Collection<UInt8>) -> Bool {
    var isFirst = true
    for line in EventStream.lines(of: stream) {
        if line.isEmpty { isFirst = true }
        guard line == Array("data".utf8) || line.starts(with: Array("data:".utf8)) else { continue }
        let words = line.dropFirst(5).split { $0 == 0x20 || $0 == 0x09 }
        if isFirst && words.count == 1 && words[0].elementsEqual("[DONE]".utf8) { return true }
        isFirst = false
    }
    return false
}
