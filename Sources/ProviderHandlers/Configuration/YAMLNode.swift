/// A YAML document as a tree, as far as a configuration needs it.
///
/// Anchors, aliases and tags are refused: a configuration gains nothing from them, and aliases let a few bytes unfold
/// into gigabytes.
struct YAMLNode {
    enum Content {
        /// Quoted means any style but the plain one: such a value is text, whatever it looks like.
        case scalar(String, isQuoted: Bool)
        case sequence([YAMLNode])
        /// Keys are scalars, each there once.
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

    /// Nothing, or one of YAML's words for nothing.
    var isNull: Bool {
        guard case .scalar(let text, isQuoted: false) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// Parses a text that holds at most one document.
    ///
    /// - Returns: nil for a text without any.
    static func document(in bytes: [UInt8]) throws(YAMLError) -> YAMLNode? {
        var composer = YAMLComposer(events: try YAMLEvents(bytes))
        return try composer.document()
    }
}

/// Builds the tree from libyaml's events.
private struct YAMLComposer: ~Copyable {
    /// A configuration is three deep. The bound keeps the recursion below from using up the stack.
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
            // Deeper than section and key there is nothing but values, and a value may be a secret.
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
