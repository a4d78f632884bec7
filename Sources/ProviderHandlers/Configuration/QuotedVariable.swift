/// Finds values of the environment that came with the quotation marks around them.
///
/// A shell takes them off; `docker run --env-file` and other readers of such files keep them as a part of the value.
enum QuotedVariable {
    /// The typographic ones come along when a value is copied from a web page; they pair in many ways.
    private static let typographic = "\u{201C}\u{201D}\u{201E}\u{201F}\u{2018}\u{2019}\u{201A}\u{201B}\u{AB}\u{BB}"

    /// - Throws: for the first setting in the table's order whose value is in quotation marks.
    static func check(_ environment: [String: String]) throws(ConfigurationError) {
        let secrets = ConfigurationSchema.keys.filter(\.isSecret).map(\.variable)
        for name in ["PROVIDER_CONFIG"] + ConfigurationSchema.keys.map(\.variable) {
            guard let value = environment[name], isQuoted(value) else { continue }
            let found = secrets.contains(name) ? Found.secret : Found.value(value)
            throw ConfigurationError(
                "environment variable \(name)", nil,
                """
                expected a value without quotation marks around it, found \(found); remove them (docker run --env-file \
                keeps them as a part of the value)
                """)
        }
    }

    /// Whether a text begins and ends with quotation marks of one kind, blanks around them aside.
    static func isQuoted(_ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard let start = scalars.firstIndex(where: { !isBlank($0) }),
            let end = scalars.lastIndex(where: { !isBlank($0) }), start < end
        else { return false }
        let (first, last) = (scalars[start], scalars[end])
        let marks = typographic.unicodeScalars
        return first == last && (first == "\"" || first == "'") || marks.contains(first) && marks.contains(last)
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { [" ", "\t", "\r", "\n"].contains(scalar) }
}
