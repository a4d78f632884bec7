/// How messages show what an operator wrote, without showing what might be secret.
enum Found {
    private static let lengthLimit = 120

    /// What stands for the value of a secret.
    static let secret = "a value that is not shown"

    /// A rejected value in quotes; nothing of it when it could hold a password.
    static func value(_ text: String) -> String {
        // user:password@host, however misspelt the URL around it is.
        if text.contains("@") && text.contains(":") { return secret + ", for it may hold a password" }
        // A query is where tokens travel.
        let withoutQuery = text.firstIndex(of: "?").map { text[...$0] } ?? text[...]
        let shown = withoutQuery.prefix(lengthLimit)
        return "\"\(printable(String(shown)))\(shown.endIndex == text.endIndex ? "" : "…")\""
    }

    /// A key as far as it looks like one: where a blank was forgotten, as in `{api_key:abc}`, the rest is the value.
    static func key(_ key: String) -> String {
        let name = key.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
        let shown = name.prefix(lengthLimit)
        return String(shown) + (shown.endIndex == key.endIndex && !key.isEmpty ? "" : "…")
    }

    /// The kind of a node whose contents do not belong in a message.
    static func kind(of node: YAMLNode) -> String {
        switch node.content {
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    /// Words of another program's: short, and without what could break a line or steer a terminal.
    static func foreign(_ text: String) -> String {
        // Scalars and not characters: one character can be of any length.
        let shown = text.unicodeScalars.prefix(lengthLimit)
        return printable(String(shown)) + (shown.endIndex == text.endIndex ? "" : "…")
    }

    /// The text without what could break a line or steer a terminal.
    static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
