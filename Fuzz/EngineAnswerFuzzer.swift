@testable import ProviderHandlers

/// Feeds an engine's answer through the head parser and the relay, in pieces and with an end that the input decides.
///
/// Input: a byte for the pieces' size, a byte for how it ends, then the answer from its status line on.
func fuzzEngineAnswer(_ bytes: [UInt8]) {
    guard bytes.count > 2 else { return }
    let (head, body) = parseHead(bytes.dropFirst(2))
    // Once as ever, and once with so little room that answers are passed on before they are whole.
    for limit in [64 * 1024 * 1024, 64] {
        let held = HeldBytes(limit: limit)
        relay(head, body, held, pieceSize: Int(bytes[0]) + 1, isFlushed: bytes[1] & 1 == 0, Ending(bytes[1] >> 1))
        precondition(held.claim(limit), "held for good")
    }
}

private enum Ending {
    case whole
    case failed(HTTPError)
    case clientGone

    init(_ number: UInt8) {
        self =
            switch number & 0b111 {
            case 0: .whole
            case 1: .failed(.broken("x"))
            case 2: .failed(.timedOut("idle"))
            case 3: .failed(.cancelled(.shutdown))
            case 4: .clientGone
            case 5: .failed(.unreachable("x"))
            default: .failed(.tooLarge(limit: 1))
            }
    }
}

private func relay(
    _ head: HTTPResponseHead?, _ body: ArraySlice<UInt8>, _ held: HeldBytes, pieceSize: Int, isFlushed: Bool,
    _ ending: Ending
) {
    let client = MemoryClient(Request(method: "POST", path: "/v1/completions", contentLength: 0))
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
        wasPassing = client.head != nil
        switch ending {
        case .whole: try relay.finish()
        case .failed(let error): try relay.fail(error)
        case .clientGone: try relay.fail(.cancelled(.clientGone))
        }
    } catch {
        // A refusal or a client that has gone: either is an outcome.
    }
    guard let head, let sent = client.head else { return precondition(client.answer.isEmpty && !client.isBrokenOff) }
    check(sent)
    if sent.headers.first("X-Accel-Buffering") != nil {
        checkStream(client.answer, of: body, isDelimited: EndToEndHeaders.isDelimited(head), ending)
    } else if wasPassing {
        // Nothing can be said behind it: a cut shows in how it ends.
        precondition(client.answer.elementsEqual(body))
        if case .failed = ending { precondition(client.isBrokenOff) } else { precondition(!client.isBrokenOff) }
    } else {
        // Held back: one that had come whole counts, however the transfer ended; of any other there is nothing.
        let isWhole = head.headers.first("Content-Length") == String(body.count)
        if case .clientGone = ending { preconditionFailure("nobody is there") }
        if case .failed = ending { precondition(isWhole) }
        precondition(client.answer.elementsEqual(body) && !client.isBrokenOff)
        let hasNone = [204, 304].contains(head.status)
        precondition(sent.headers.first("Content-Length") == (hasNone ? nil : String(body.count)))
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

/// Nothing that nginx would obey, and nothing of the engine's connection.
private func check(_ head: HTTPResponseHead) {
    for header in head.headers {
        let name = header.name.lowercased()
        precondition(!["connection", "transfer-encoding", "keep-alive", "status"].contains(name), name)
        precondition(!name.hasPrefix("x-accel-") || header == HTTPHeader("X-Accel-Buffering", "no"), name)
    }
}

// MARK: - Streams

/// A stream that was cut never looks whole, and one that was not is passed on as it is.
private func checkStream(_ answer: [UInt8], of body: ArraySlice<UInt8>, isDelimited: Bool, _ ending: Ending) {
    precondition(answer.starts(with: body), "the engine's own bytes")
    let added = answer.dropFirst(body.count)
    let hasEnd = hasDone(body)
    let isCut =
        switch ending {
        case .clientGone: false
        case .whole: !isDelimited && !hasEnd
        case .failed: !hasEnd
        }
    if isCut {
        // Nothing but our event, which what was left of another has not swallowed.
        let events = EventStream.events(in: answer)
        precondition(events.count == EventStream.events(in: body + [0x0A, 0x0A]).count + 1, "not an event of its own")
        precondition(((json(events.last ?? []) as? [String: Any])?["error"] as? [String: Any])?["code"] is String)
        precondition(!hasDone(answer[...]), "an end after the cut")
    } else if case .failed = ending {
        // The end came long before the failure: to say so once more is no harm.
        precondition(!hasDone(added))
    } else if isDelimited {
        precondition(added.isEmpty)
    }
    if case .clientGone = ending { precondition(added.isEmpty) }
    let ends = ["data: [DONE]\n\n", "data: [DONE]\r\n\r\n"].flatMap { end in ["\n" + end, "\r" + end] }
    if ends.contains(where: { body.suffix($0.utf8.count).elementsEqual($0.utf8) }) { precondition(added.isEmpty) }
}

/// Whether a line begins with OpenAI's last event, after which its clients read no further.
private func hasDone(_ stream: some Collection<UInt8>) -> Bool {
    EventStream.lines(of: stream).contains { $0.starts(with: Array("data: [DONE]".utf8)) }
}
