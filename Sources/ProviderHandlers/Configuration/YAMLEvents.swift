import CYAML

/// What libyaml finds in a document, one piece after the other.
struct YAMLEvent {
    enum Kind {
        case documentStart
        case scalar(String, isQuoted: Bool)
        case sequenceStart, sequenceEnd
        case mappingStart, mappingEnd
        case alias
        case streamEnd
        /// The stream's start and a document's end, which mean nothing to us.
        case other
    }

    let kind: Kind
    /// Where it starts, counted from 1.
    let line: Int
    let hasAnchor: Bool
    let hasTag: Bool
}

/// What is wrong with a YAML text.
struct YAMLError: Error {
    /// Counted from 1.
    var line: Int?
    /// The keys that lead to the place, joined with dots.
    var key: String?
    let problem: String
}

/// Owns one libyaml parser and the text it reads. No pointer leaves it: events are copies.
@safe struct YAMLEvents: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            throw YAMLError(problem: "out of memory")
        }
        unsafe self.parser = unsafe parser
        // The parser keeps the address of its input, so the input gets a place of its own.
        unsafe input = .allocate(capacity: bytes.count)
        _ = unsafe input.initialize(from: bytes)
        unsafe yaml_parser_set_input_string(parser, input.baseAddress, input.count)
        // Otherwise libyaml would guess UTF-16 from the first bytes.
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe input.deallocate()
    }

    /// The next event. Not to be called again once it has thrown or returned the stream's end.
    mutating func next() throws(YAMLError) -> YAMLEvent {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { unsafe yaml_event_delete(&event) }
        var anchor: UnsafeMutablePointer<yaml_char_t>?
        var tag: UnsafeMutablePointer<yaml_char_t>?
        let kind: YAMLEvent.Kind
        switch unsafe event.type {
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_ALIAS_EVENT: kind = .alias
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        case YAML_SEQUENCE_START_EVENT:
            kind = .sequenceStart
            unsafe anchor = event.data.sequence_start.anchor
            unsafe tag = event.data.sequence_start.tag
        case YAML_MAPPING_START_EVENT:
            kind = .mappingStart
            unsafe anchor = event.data.mapping_start.anchor
            unsafe tag = event.data.mapping_start.tag
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let text = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = unsafe .scalar(
                String(decoding: text, as: UTF8.self), isQuoted: scalar.style != YAML_PLAIN_SCALAR_STYLE)
            unsafe anchor = scalar.anchor
            unsafe tag = scalar.tag
        default: kind = .other
        }
        return unsafe YAMLEvent(
            kind: kind, line: event.start_mark.line + 1, hasAnchor: anchor != nil, hasTag: tag != nil)
    }

    /// libyaml's own words, which are constants and so hold nothing of the text.
    private func failure() -> YAMLError {
        let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "out of memory"
        if unsafe parser.pointee.error == YAML_READER_ERROR {
            // The reader knows no lines, only the offset in bytes.
            let before = unsafe input.prefix(parser.pointee.problem_offset)
            let line = unsafe before.count { $0 == UInt8(ascii: "\n") } + 1
            return YAMLError(line: line, problem: "not UTF-8 text: \(problem)")
        }
        let line = unsafe parser.pointee.problem_mark.line + 1
        var context = ""
        if let words = unsafe parser.pointee.context {
            let start = unsafe parser.pointee.context_mark.line + 1
            let place = start == line ? "" : " that starts in line \(start)"
            context = unsafe " (\(String(cString: words))\(place))"
        }
        let hint = isIndentedWithTab(line) ? "; YAML is indented with spaces, never with tabs" : ""
        return YAMLError(line: line, problem: "not valid YAML: \(problem)\(context)\(hint)")
    }

    /// The most common mistake, and the one libyaml explains worst.
    private func isIndentedWithTab(_ line: Int) -> Bool {
        let lines = unsafe input.split(
            separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        guard unsafe line <= lines.count else { return false }
        let indentation = unsafe lines[line - 1].prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return unsafe indentation.contains(UInt8(ascii: "\t"))
    }
}
