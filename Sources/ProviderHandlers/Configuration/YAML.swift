import CYAML

/// A YAML document as a tree, reduced to the features that a configuration needs.
///
/// Anchors, aliases and tags are refused: a configuration gains nothing from them, and aliases let a few bytes unfold
/// into gigabytes.
struct YAMLNode {
    enum Content {
        /// Quoted means any style but the plain style: a quoted value is text, even if it looks like a number.
        case scalar(String, isQuoted: Bool)
        case sequence([YAMLNode])
        /// Keys are scalars; each occurs once.
        case mapping([Entry])
    }

    struct Entry {
        let key: String
        /// Where the key is.
        let line: Int
        let value: YAMLNode
    }

    /// Where the value starts, counted from 1.
    let line: Int
    let content: Content

    /// Whether the value is blank or one of YAML's words for null.
    var isNull: Bool {
        guard case .scalar(let text, isQuoted: false) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// Parses a text of at most one document.
    ///
    /// - Returns: nil for a text without a document.
    static func document(in bytes: [UInt8]) throws(YAMLError) -> YAMLNode? {
        var composer = YAMLComposer(events: try YAMLEvents(bytes))
        return try composer.document()
    }
}

/// A problem in a YAML text.
struct YAMLError: Error {
    /// Counted from 1.
    var line: Int?
    /// The keys that lead to the place, joined with dots.
    var key: String?
    let problem: String
}

/// Builds the tree from libyaml's events.
private struct YAMLComposer: ~Copyable {
    /// A configuration is three levels deep. The limit keeps the recursion from overflowing the stack.
    private static let depthLimit = 16

    var events: YAMLEvents

    mutating func document() throws(YAMLError) -> YAMLNode? {
        var root: YAMLNode?
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamEnd: return root
            case .documentStart where root != nil:
                throw YAMLError(line: event.line, problem: "expected one document, found a second")
            case .documentStart: root = try node(try events.next(), key: nil, depth: 0)
            default: continue
            }
        }
    }

    private mutating func node(_ event: YAMLEvent, key: String?, depth: Int) throws(YAMLError) -> YAMLNode {
        func refuse(_ problem: String) -> YAMLError { YAMLError(line: event.line, key: key, problem: problem) }
        guard !event.hasAnchor else {
            throw refuse("expected a value, found an anchor; a value that starts with & needs quotes")
        }
        guard !event.hasTag else {
            throw refuse("expected a value, found a tag; a value that starts with ! needs quotes")
        }
        guard depth < Self.depthLimit else { throw refuse("expected a configuration, found too many levels") }
        let content: YAMLNode.Content
        switch event.kind {
        case .scalar(let text, let isQuoted): content = .scalar(text, isQuoted: isQuoted)
        case .sequenceStart: content = .sequence(try elements(key: key, depth: depth + 1))
        case .mappingStart: content = .mapping(try entries(key: key, depth: depth + 1))
        case .alias: throw refuse("expected a value, found an alias; a value that starts with * needs quotes")
        default: throw refuse("expected a value, found the end")
        }
        return YAMLNode(line: event.line, content: content)
    }

    private mutating func elements(key: String?, depth: Int) throws(YAMLError) -> [YAMLNode] {
        var elements: [YAMLNode] = []
        while true {
            let event = try events.next()
            if case .sequenceEnd = event.kind { return elements }
            elements.append(try node(event, key: key, depth: depth))
        }
    }

    private mutating func entries(key parent: String?, depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let event = try events.next()
            if case .mappingEnd = event.kind { return entries }
            let node = try node(event, key: parent, depth: depth)
            guard case .scalar(let key, _) = node.content else {
                throw YAMLError(line: event.line, key: parent, problem: "expected a key, found \(Found.kind(of: node))")
            }
            // Below section and key everything is a value, and a value may be a secret.
            let isNamed = depth <= 2
            let path = isNamed ? (parent.map { $0 + "." } ?? "") + Found.key(key) : parent
            if let first = lines.updateValue(event.line, forKey: key) {
                let problem = isNamed ? "expected once, given again" : "expected each key in it once, found one again"
                throw YAMLError(line: event.line, key: path, problem: "\(problem); the first is in line \(first)")
            }
            let value = try self.node(try events.next(), key: path, depth: depth)
            entries.append(YAMLNode.Entry(key: key, line: event.line, value: value))
        }
    }
}

/// One event of libyaml's parser.
private struct YAMLEvent {
    enum Kind {
        case documentStart
        case scalar(String, isQuoted: Bool)
        case sequenceStart, sequenceEnd
        case mappingStart, mappingEnd
        case alias
        case streamEnd
        /// The stream's start and a document's end, which are ignored.
        case other
    }

    let kind: Kind
    /// The line of its start, counted from 1.
    let line: Int
    let hasAnchor: Bool
    let hasTag: Bool
}

/// Owns a libyaml parser and the text it reads. No pointer leaves it: events are copies.
@safe private struct YAMLEvents: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            unsafe parser.deallocate()
            throw YAMLError(problem: "out of memory")
        }
        unsafe self.parser = unsafe parser
        // The parser keeps the address of its input, so the input is copied.
        unsafe input = .allocate(capacity: bytes.count)
        _ = unsafe input.initialize(from: bytes)
        unsafe yaml_parser_set_input_string(parser, input.baseAddress, input.count)
        // Without this, libyaml may guess UTF-16 from the first bytes.
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe input.deallocate()
    }

    /// The next event. Must not be called again after it has thrown or returned the stream's end.
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

    /// Wraps libyaml's messages: constants, which quote nothing from the text.
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

    /// Tabs are the most common mistake, and libyaml's message does not mention them.
    private func isIndentedWithTab(_ line: Int) -> Bool {
        let lines = unsafe input.split(
            separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        guard unsafe line <= lines.count else { return false }
        let indentation = unsafe lines[line - 1].prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        return unsafe indentation.contains(UInt8(ascii: "\t"))
    }
}
