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

    /// Log lines: UUIDs, requests' identifiers, and the values of keys that may be secrets.
    static func log(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.split(separator: " ", omittingEmptySubsequences: false).map(word).joined(separator: " ")
        }.joined(separator: "\n")
    }

    private static func word(_ word: Substring) -> String {
        if let equals = word.firstIndex(of: "=") {
            let name = word[..<equals].lowercased()
            if ["id", "client", "hmac"].contains(name) || secretNames.contains(where: name.contains) {
                return "\(word[...equals])\(mark)"
            }
        }
        return withoutIdentifiers(word)
    }

    /// Hexadecimal numbers of 16 digits or more, hyphens in them included, become the mark; so do `"id":"…"` values, which are
    /// such numbers. The decimals of a number stay.
    private static func withoutIdentifiers(_ text: Substring) -> String {
        var result = ""
        var run: [Character] = []
        func flush() {
            // A number in JSON has up to 17 decimals: `0.09500000000000001`.
            let isFraction = result.hasSuffix(".") && run.allSatisfy(\.isNumber)
            let digits = run.count { $0 != "-" }
            result += digits >= 16 && !isFraction ? mark : String(run)
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

    /// A JSON document without UUIDs and identifiers.
    static func json(_ text: String) -> String { withoutIdentifiers(text[...]) }
}
