import Testing

@testable import ProviderHandlers

@Suite struct CompletionStreamTests {
    private static let choice = #"{"choices":[{"finish_reason":null}]}"#
    private static let last = #"{"choices":[{"finish_reason":"stop"}]}"#

    /// - Parameter pieceSize: bytes at a time.
    private func follow(_ text: String, pieceSize: Int) -> CompletionStream {
        var stream = CompletionStream()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            let piece = Array(bytes[start..<min(start + pieceSize, bytes.count)])
            stream.add(piece.span.bytes)
        }
        return stream
    }

    /// Whichever way a stream is cut in pieces, and however its lines end.
    @Test(arguments: ["\n", "\r", "\r\n"], [1, 2, 3, 7, 1000])
    func itEndsWithDone(end: String, pieceSize: Int) {
        for done in ["data: [DONE]", "data:[DONE]", "data:  [DONE] "] {
            let text = [": hello", "", "data: \(Self.choice)", "", done].joined(separator: end)
            for tail in ["", end, end + end, end + end + "data: more" + end + end] {
                let stream = follow(text + tail, pieceSize: pieceSize)
                #expect(stream.hasEnded, "\(done)\(tail)")
                #expect(!stream.isCut(isDelimited: true))
                #expect(!stream.isCut(isDelimited: false))
            }
        }
    }

    @Test(arguments: [
        "data: [DONE]x\n\n", "data: x\ndata: [DONE]\n\n", "event: [DONE]\n\n", "data : [DONE]\n\n",
        ": data: [DONE]\n\n",
        "[DONE]\n\n", "data: \"[DONE]\"\n\n", "data: [DONE\n\n", "databases: [DONE]\n\n",
    ])
    func otherWordsAreNoEnd(text: String) {
        for pieceSize in [1, 1000] {
            let stream = follow("data: \(Self.choice)\n\n" + text, pieceSize: pieceSize)
            #expect(!stream.hasEnded)
            #expect(stream.isCut(isDelimited: true))
            #expect(stream.isCut(isDelimited: false))
        }
    }

    @Test(arguments: [
        (last, false), (#"{"choices":[{"finish_reason" : "length"},{"finish_reason":null}]}"#, false),
        (#"{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason":null}]}"#, true),
        (#"{"choices":[{"delta":{"content":"finish_reason: stop"}}]}"#, true), (#"{"choices":[]}"#, true),
        (#"{"finish_reason":"stop","choices":[{}]}"#, true), (#"{"choices":null}"#, false), (#"{"usage":{}}"#, false),
        (#"{"error":null,"choices":[{}]}"#, true), (#"{"choices":"#, false), (#""choices""#, false),
    ])
    func aReasonToFinishEndsAStreamOfChoices(event: String, isCut: Bool) {
        for pieceSize in [1, 5, 1000] {
            #expect(follow("data: \(event)\n\n", pieceSize: pieceSize).isCut(isDelimited: true) == isCut, "\(event)")
        }
    }

    /// The usage comes after the reason to finish, the engine's error after the choices.
    @Test func theOrderOfEventsDoesNotMatter() {
        let usage = #"{"choices":[],"usage":{"total_tokens":1}}"#
        #expect(
            !follow("data: \(Self.choice)\n\ndata: \(Self.last)\n\ndata: \(usage)\n\n", pieceSize: 9).isCut(
                isDelimited: true))
        let error = #"{"error":{"message":"no memory"}}"#
        #expect(!follow("data: \(Self.choice)\n\ndata: \(error)\n\n", pieceSize: 9).isCut(isDelimited: true))
        #expect(follow("data: \(error)\n\ndata: \(Self.choice)\n\n", pieceSize: 9).isCut(isDelimited: true))
    }

    @Test func anEventMayHaveSeveralDataLines() {
        let text = "data: {\"choices\":\ndata: [{\"finish_reason\":\ndata:\"stop\"}]}\n\n"
        #expect(!follow("data: \(Self.choice)\n\n" + text, pieceSize: 4).isCut(isDelimited: true))
    }

    @Test func aByteOrderMarkIsPassedOver() {
        #expect(follow("\u{FEFF}data: [DONE]\n\n", pieceSize: 2).hasEnded)
    }

    /// What might have been said in an event that is too long to be read is not held against the stream.
    @Test func aVeryLongEventIsNotRead() {
        let long =
            #"data: {"choices":[{"text":""# + String(repeating: "x", count: 400_000) + #"","finish_reason":"stop"}]}"#
        let stream = follow("data: \(Self.choice)\n\n" + long + "\n\n", pieceSize: 16_384)
        #expect(!stream.isCut(isDelimited: true))
        #expect(stream.isCut(isDelimited: false))
        #expect(stream.isAtEventStart)
        // The events after it are read again.
        let rest = follow("data: \(Self.choice)\n\n" + long + "\n\ndata: [DONE]\n", pieceSize: 16_384)
        #expect(rest.hasEnded)
        // A line that only begins like the end is none.
        let begun = follow("data: [DONE]" + String(repeating: "x", count: 400_000) + "\n\n", pieceSize: 12)
        #expect(!begun.hasEnded)
    }

    @Test(arguments: [
        ("", true), ("data: a\n\n", true), ("data: a\r\n\r\n", true), ("data: a\r\r", true), ("data: a\n", false),
        ("data: a", false), (": comment\n", false), ("data: a\n\n\n", true),
    ])
    func itKnowsWhereAnEventBegins(text: String, isStart: Bool) {
        for pieceSize in [1, 1000] { #expect(follow(text, pieceSize: pieceSize).isAtEventStart == isStart) }
    }
}
