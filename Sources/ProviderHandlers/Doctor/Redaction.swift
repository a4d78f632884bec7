import FoundationEssentials

/// Takes secrets and identifiers out of what goes into a bundle.
enum Redaction {
    /// In the place of what was taken out.
    static let mark = "<redacted>"

    /// Words in the name of a key whose value may be a secret.
    private static let secretNames = ["key", "token", "secret", "password", "auth", "credential"]
    /// Elements of nvidia-smi's document that identify a card.
    private static let identifyingElements = [
        "serial", "uuid", "gpu_uuid", "pdi", "board_id", "board_part_number", "gpu_part_number",
        "chassis_serial_number",
        "cluster_uuid", "clusterUUID", "process_name", "inforom_version", "host_id",
    ]

    /// The configuration that holds, as YAML with every key and no secret.
    static func configuration(_ configuration: Configuration) -> String {
        func text(_ value: Any) -> String {
            switch value {
            case let secret as Secret: secret.isEmpty ? #""""# : mark
            case let duration as Duration: duration.inSeconds.formatted(3)
            case let list as [String]: "[\(list.count) entries]"
            case let string as String: "\"\(string)\""
            default: "\(value)"
            }
        }
        var lines: [String] = []
        for section in Mirror(reflecting: configuration).children {
            lines.append("\(keyName(section.label)):")
            for field in Mirror(reflecting: section.value).children {
                lines.append("  \(keyName(field.label)): \(text(field.value))")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `nvidia_smi_timeout` for `nvidiaSMITimeout`.
    private static func keyName(_ label: String?) -> String {
        let letters = Array(label ?? "")
        return letters.indices.map { index in
            let letter = letters[index]
            guard letter.isUppercase, index > 0 else { return letter.lowercased() }
            let endsAcronym = index + 1 < letters.count && letters[index + 1].isLowercase
            let startsWord = !letters[index - 1].isUppercase || endsAcronym
            return (startsWord ? "_" : "") + letter.lowercased()
        }.joined()
    }

    /// Log lines of either format: UUIDs, requests' identifiers, and the values of keys that may be secrets.
    static func log(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var rest = line
            var result = ""
            while let start = rest.firstRange(of: "{\"")?.lowerBound {
                result += words(rest[..<start])
                rest = rest[start...]
                result += structure(&rest)
            }
            return result + words(rest)
        }.joined(separator: "\n")
    }

    /// A JSON document, by the same rule as log lines.
    static func json(_ text: String) -> String {
        var rest = text[...]
        guard let first = rest.first(where: { !$0.isWhitespace }), first == "{" || first == "[" else {
            return words(rest)
        }
        let result = structure(&rest)
        return result + words(rest)
    }

    /// Whether the value of a key is taken out. Only the key's name decides.
    private static func isSecret(_ name: some StringProtocol) -> Bool {
        let name = name.lowercased()
        return ["id", "client", "hmac"].contains(name) || secretNames.contains(where: name.contains)
    }

    // MARK: Text

    /// Words with spaces between them, of which some are `name=value` or `name="a value"`.
    private static func words(_ text: Substring) -> String {
        var result = ""
        var rest = text
        while let first = rest.first {
            guard first != " " else {
                result.append(rest.removeFirst())
                continue
            }
            let word = rest.prefix { $0 != " " }
            if let equals = word.firstIndex(of: "="), isSecret(word[..<equals]) {
                result += "\(word[...equals])\(mark)"
                let value = rest[rest.index(after: equals)...]
                rest =
                    value.first == "\""
                    ? value.dropFirst().drop { $0 != "\"" }.dropFirst() : rest[word.endIndex...]
            } else {
                result += withoutIdentifiers(word)
                rest = rest[word.endIndex...]
            }
        }
        return result
    }

    /// Hexadecimal numbers of 16 digits or more, hyphens in them included, become the mark. The decimals of a number stay.
    private static func withoutIdentifiers(_ text: Substring) -> String {
        var result = ""
        var run: [Character] = []
        func flush() {
            let digits = run.count { $0 != "-" }
            result += digits >= 16 && !isFraction(run, after: result) ? mark : String(run)
            run = []
        }
        for character in text {
            if character.isASCII && character.isHexDigit || character == "-" {
                run.append(character)
            } else {
                flush()
                result.append(character)
            }
        }
        flush()
        return result
    }

    /// Whether digits are the decimals of a number, and its exponent: `09500000000000001` and `0500000000000001e-05`.
    private static func isFraction(_ run: [Character], after text: String) -> Bool {
        guard text.last == ".", text.dropLast().last?.isNumber == true else { return false }
        let exponent = run.drop(while: \.isNumber)
        guard let mark = exponent.first else { return true }
        let digits = exponent.dropFirst(exponent.dropFirst().first == "-" ? 2 : 1)
        return (mark == "e" || mark == "E") && digits.count <= 3 && digits.allSatisfy(\.isNumber)
    }

    // MARK: JSON

    /// Takes a JSON object or array from the start of a text, which may be cut or no JSON at all.
    private static func structure(_ rest: inout Substring) -> String {
        var result = ""
        var depth = 0
        // Of the value that comes next. The elements of an array share a name.
        var name: Substring = ""
        while let character = rest.first {
            switch character {
            case "\"":
                let (content, isClosed) = string(&rest)
                let isName = rest.first { !$0.isWhitespace } == ":"
                if isName { name = content }
                result += "\"" + (!isName && isSecret(name) ? mark : words(content)) + (isClosed ? "\"" : "")
            case "{", "[":
                depth += 1
                result.append(rest.removeFirst())
            case "}", "]":
                depth -= 1
                name = ""
                result.append(rest.removeFirst())
                if depth <= 0 { return result }
            case ",", ":": result.append(rest.removeFirst())
            case _ where character.isWhitespace: result.append(rest.removeFirst())
            default:
                let value = rest.prefix { !"\"{}[],:".contains($0) && !$0.isWhitespace }
                rest = rest[value.endIndex...]
                result += isSecret(name) ? "\"\(mark)\"" : isNumber(value) ? String(value) : words(value)
            }
        }
        return result
    }

    /// Takes a string with its quotation marks.
    private static func string(_ rest: inout Substring) -> (content: Substring, isClosed: Bool) {
        rest.removeFirst()
        var isEscaped = false
        let content = rest.prefix { character in
            if character == "\"" && !isEscaped { return false }
            isEscaped = character == "\\" && !isEscaped
            return true
        }
        rest = rest[content.endIndex...]
        let isClosed = !rest.isEmpty
        rest = rest.dropFirst()
        return (content, isClosed)
    }

    /// Whether JSON writes a number so (RFC 8259, 6), more or less.
    private static func isNumber(_ text: Substring) -> Bool {
        text.allSatisfy { "+-.eE0123456789".contains($0) } && Double(text) != nil
    }

    // MARK: XML

    /// nvidia-smi's document without what identifies a card or a process.
    static func gpuDocument(_ text: String) -> String {
        var result = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            var line = String(line)
            for name in identifyingElements {
                guard let start = line.firstRange(of: "<\(name)>"), let end = line.firstRange(of: "</\(name)>"),
                    start.upperBound <= end.lowerBound
                else { continue }
                line.replaceSubrange(start.upperBound..<end.lowerBound, with: mark)
            }
            // MIG devices and others have UUIDs in elements of other names.
            result += withoutIdentifiers(line[...]) + "\n"
        }
        return result
    }
}
