/// One directive of nginx's configuration, with the block behind it.
struct NginxDirective {
    /// Its name first, then its arguments, without quotation marks.
    let words: [String]
    /// The contents of its braces; empty for a directive that ends with a semicolon.
    var block: [NginxDirective] = []
    /// The file and line it begins in, for a message.
    let place: String

    var name: String { words.first ?? "" }

    /// Every directive in here at any depth.
    static func all(in directives: [NginxDirective]) -> [NginxDirective] {
        directives.flatMap { [$0] + all(in: $0.block) }
    }

    /// The directives of a text, as nginx reads it (ngx_conf_read_token).
    ///
    /// From a text that ends inside a block or a directive, the complete directives: nginx itself reports the mistake.
    static func parse(_ text: String, file: String) -> [NginxDirective] {
        var parser = Parser(rest: Array(text.utf8)[...], file: file)
        return parser.block()
    }

    private struct Parser {
        /// Far above any real nesting; nginx's own files have four levels.
        private static let depthLimit = 32

        var rest: ArraySlice<UInt8>
        let file: String
        var line = 1
        var depth = 0

        mutating func block() -> [NginxDirective] {
            var directives: [NginxDirective] = []
            var words: [String] = []
            var start = line
            while let token = next() {
                switch token {
                case .word(let word):
                    if words.isEmpty { start = line }
                    words.append(word)
                case .semicolon:
                    if !words.isEmpty { directives.append(NginxDirective(words: words, place: "\(file):\(start)")) }
                    words = []
                case .open:
                    guard depth < Self.depthLimit else { return directives }
                    depth += 1
                    var directive = NginxDirective(words: words, place: "\(file):\(start)")
                    directive.block = block()
                    depth -= 1
                    directives.append(directive)
                    words = []
                case .close: return directives
                }
            }
            return directives
        }

        private enum Token {
            case word(String)
            case semicolon, open, close
        }

        private mutating func next() -> Token? {
            while let byte = rest.first {
                switch byte {
                case UInt8(ascii: "\n"):
                    line += 1
                    rest.removeFirst()
                case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): rest.removeFirst()
                case UInt8(ascii: "#"): rest = rest.drop { $0 != UInt8(ascii: "\n") }
                case UInt8(ascii: ";"): return taking(.semicolon)
                case UInt8(ascii: "{"): return taking(.open)
                case UInt8(ascii: "}"): return taking(.close)
                case UInt8(ascii: "\""), UInt8(ascii: "'"): return .word(quoted(by: byte))
                default: return .word(plain())
                }
            }
            return nil
        }

        private mutating func taking(_ token: Token) -> Token {
            rest.removeFirst()
            return token
        }

        private mutating func quoted(by quote: UInt8) -> String {
            rest.removeFirst()
            var bytes: [UInt8] = []
            while let byte = rest.popFirst(), byte != quote {
                if byte == UInt8(ascii: "\n") { line += 1 }
                bytes.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        private mutating func plain() -> String {
            var bytes: [UInt8] = []
            while let byte = rest.first,
                !" \t\r\n;{}".utf8.contains(byte) || byte == UInt8(ascii: "{") && bytes.last == UInt8(ascii: "$")
            {
                // `${name}` is a variable, not a block.
                if byte == UInt8(ascii: "{") {
                    let name = rest.prefix { $0 != UInt8(ascii: "}") && $0 != UInt8(ascii: "\n") }
                    bytes += name
                    rest = rest.dropFirst(name.count)
                    if let end = rest.first, end == UInt8(ascii: "}") {
                        bytes.append(end)
                        rest.removeFirst()
                    }
                    continue
                }
                rest.removeFirst()
                bytes.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
