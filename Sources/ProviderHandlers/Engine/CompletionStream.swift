import FoundationEssentials

/// Follows the event stream of a completion, event by event, to tell a whole stream from a cut one.
///
/// Reads events as the standard says (WHATWG HTML, 9.2.6): lines end with LF, CR or CRLF, the space after a colon is
/// optional, comments are ignored.
struct CompletionStream {
    /// A longer event is passed on, but not read (bytes).
    private static let eventLimit = 262_144
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Whether OpenAI's closing `data: [DONE]` has come. The blank line after it need not follow.
    private(set) var isDone = false
    /// Whether the next byte begins an event.
    private(set) var isAtEventStart = true
    /// Whether an event was an error of the engine's own.
    private(set) var hasReportedError = false

    private var hasChoices = false
    private var hasFinishReason = false
    /// Whether the newest event is an error of the engine's own.
    private var endsWithError = false
    /// Whether an event was too long to be read.
    private var hasUnread = false

    private var line: [UInt8] = []
    /// Of the whole line, in bytes; `line` is empty where the event is too long.
    private var lineLength = 0
    /// The data lines of the event so far; nil before the first.
    private var data: [UInt8]?
    private var isOverlong = false
    private var isAfterCR = false
    private var isFirstLine = true

    /// Takes the next piece of the stream.
    mutating func add(_ piece: RawSpan) {
        // OpenAI's clients read no further.
        guard !isDone else { return }
        var start = 0
        for offset in 0..<piece.byteCount {
            let byte = unsafe piece.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            let isSecondHalf = byte == 0x0A && isAfterCR
            isAfterCR = byte == 0x0D
            guard byte == 0x0A || byte == 0x0D else { continue }
            if !isSecondHalf {
                extendLine(piece.extracting(start..<offset))
                endLine()
            }
            start = offset + 1
        }
        extendLine(piece.extracting(start..<piece.byteCount))
    }

    /// Whether the stream stopped before its end, now that the connection or the last chunk has ended it.
    ///
    /// Ollama ends a stream properly although its runner has died; then no choice has a reason to finish.
    ///
    /// - Parameter isDelimited: whether HTTP itself told where the stream ends.
    func isCut(isDelimited: Bool) -> Bool {
        let stream = ended
        if stream.isDone || stream.hasFinishReason || stream.endsWithError { return false }
        return isDelimited ? stream.hasChoices && !stream.hasUnread : true
    }

    /// Whether `[DONE]` has come, also in a last line that has no end.
    var hasEnded: Bool { ended.isDone }

    /// The stream with its last line and event taken for complete.
    private var ended: Self {
        var stream = self
        stream.endLine()
        stream.endEvent()
        return stream
    }

    // MARK: Lines

    private mutating func extendLine(_ piece: RawSpan) {
        guard piece.byteCount > 0 else { return }
        isAtEventStart = false
        lineLength += piece.byteCount
        if line.count + (data?.count ?? 0) + piece.byteCount > Self.eventLimit {
            isOverlong = true
            (line, data) = ([], nil)
        }
        if !isOverlong { line.append(piece) }
    }

    private mutating func endLine() {
        if isFirstLine && line.starts(with: Self.byteOrderMark) { line.removeFirst(Self.byteOrderMark.count) }
        isFirstLine = false
        defer {
            line.removeAll(keepingCapacity: true)
            lineLength = 0
        }
        guard lineLength > 0 else {
            endEvent()
            isAtEventStart = true
            return
        }
        guard !isOverlong, let value = Self.data(in: line) else { return }
        if data == nil && Self.isDone(value) { isDone = true }
        data = data.map { $0 + [0x0A] + value } ?? Array(value)
    }

    /// The value of a line with the field `data`; nil for any other line.
    private static func data(in line: [UInt8]) -> ArraySlice<UInt8>? {
        guard line.starts(with: "data".utf8) else { return nil }
        let rest = line.dropFirst(4)
        guard let colon = rest.first else { return rest }
        guard colon == UInt8(ascii: ":") else { return nil }
        let value = rest.dropFirst()
        return value.first == 0x20 ? value.dropFirst() : value
    }

    private static func isDone(_ value: ArraySlice<UInt8>) -> Bool {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        let text = value.drop(while: isBlank)
        return text.starts(with: "[DONE]".utf8) && text.dropFirst(6).allSatisfy(isBlank)
    }

    // MARK: Events

    private mutating func endEvent() {
        defer { (data, isOverlong) = (nil, false) }
        if isOverlong {
            hasUnread = true
            endsWithError = false
        } else if let data {
            read(data)
        }
    }

    /// Almost every event is passed by without being decoded: the two keys that decide are looked for first.
    private mutating func read(_ data: [UInt8]) {
        endsWithError = false
        let isOfInterest =
            !hasChoices && data[...].end(of: #""choices""#) != nil || !hasFinishReason && Self.mayFinish(data)
            || data[...].end(of: #""error""#) != nil
        guard isOfInterest, let event = try? JSONDecoder().decode(Event.self, from: Data(data)) else { return }
        hasChoices = hasChoices || event.choices != nil
        hasFinishReason = hasFinishReason || event.choices?.contains { $0.hasFinishReason } ?? false
        endsWithError = event.hasError
        hasReportedError = hasReportedError || event.hasError
    }

    /// Whether a `finish_reason` is there that is not null. In a text its quotation marks would be escaped.
    private static func mayFinish(_ data: [UInt8]) -> Bool {
        var rest = data[...]
        while let end = rest.end(of: #""finish_reason""#) {
            rest = rest[end...]
            let value = rest.drop { $0 <= 0x20 || $0 == UInt8(ascii: ":") }
            if !value.starts(with: "null".utf8) { return true }
        }
        return false
    }

    private struct Event: Decodable {
        let choices: [Choice]?
        let hasError: Bool

        private enum CodingKeys: CodingKey { case choices, error }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            choices = try? container.decode([Choice].self, forKey: .choices)
            hasError = try container.contains(.error) && !container.decodeNil(forKey: .error)
        }
    }

    private struct Choice: Decodable {
        let hasFinishReason: Bool

        private enum CodingKeys: String, CodingKey { case finishReason = "finish_reason" }

        init(from decoder: any Decoder) throws {
            let container = try? decoder.container(keyedBy: CodingKeys.self)
            hasFinishReason =
                try container.map { try $0.contains(.finishReason) && !$0.decodeNil(forKey: .finishReason) } ?? false
        }
    }
}

extension ArraySlice<UInt8> {
    /// Where the first occurrence of a text in quotation marks ends.
    fileprivate func end(of quoted: String) -> Int? {
        var rest = self
        while let start = rest.firstIndex(of: UInt8(ascii: "\"")) {
            if rest[start...].starts(with: quoted.utf8) { return start + quoted.utf8.count }
            rest = rest[(start + 1)...]
        }
        return nil
    }
}
