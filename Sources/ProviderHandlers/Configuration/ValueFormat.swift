/// A value as the operator wrote it, not yet parsed for its key.
enum WrittenValue {
    /// `isQuoted` only ever in the file.
    case text(String, isQuoted: Bool)
    case list([String])
    /// A kind of value that no key takes, as messages call it.
    case other(String)

    init(_ node: YAMLNode) {
        switch node.content {
        case .scalar(let text, let isQuoted): self = .text(text, isQuoted: isQuoted)
        case .mapping: self = .other(Found.kind(of: node))
        case .sequence(let nodes):
            let texts = nodes.compactMap { node -> String? in
                guard case .scalar(let text, _) = node.content else { return nil }
                return text
            }
            self = texts.count == nodes.count ? .list(texts) : .other("a list of lists or mappings")
        }
    }
}

/// The kind of value a key takes: its description, and its parser.
struct ValueFormat<Value>: Sendable {
    /// Completes "expected …".
    let expectation: String
    /// The words of a choice.
    var choices: [String] = []
    /// Whether the environment separates several values with commas.
    var isList = false
    /// Whether quotes make the value text, which is wrong.
    var isNumber = false
    /// nil for an unexpected value.
    let parse: @Sendable (WrittenValue) -> Value?
}

extension ValueFormat {
    /// A format for single values, quoted or not: `12345` without quotes is text as well.
    private static func scalar(_ expectation: String, _ parse: @escaping @Sendable (String) -> Value?) -> Self {
        Self(expectation: expectation) { written in
            guard case .text(let text, _) = written else { return nil }
            return parse(text)
        }
    }

    /// A format for numbers and flags, which quotes would make text.
    private static func number(_ expectation: String, _ parse: @escaping @Sendable (String) -> Value?) -> Self {
        Self(expectation: expectation, isNumber: true) { written in
            guard case .text(let text, isQuoted: false) = written else { return nil }
            return parse(text)
        }
    }
}

extension ValueFormat where Value == Int {
    /// Decimal digits only, without leading zeros: YAML 1.1 reads `010` as eight.
    static func whole(_ range: ClosedRange<Int>) -> Self {
        .number("a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            wholeNumber(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension ValueFormat where Value == Duration {
    /// Seconds, rounded up to whole milliseconds, which libcurl takes. 0 would mean no limit there.
    static var seconds: Self {
        .number("seconds above 0 and at most 86400") { text in
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard let whole = parts[0].isEmpty && parts.count == 2 ? 0 : wholeNumber(String(parts[0])),
                whole <= 86_400
            else { return nil }
            let fraction = parts.count == 2 ? Array(parts[1].utf8) : []
            guard fraction.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
                parts.count == 1 || !fraction.isEmpty
            else { return nil }
            var milliseconds = whole * 1000
            for (digit, weight) in zip(fraction, [100, 10, 1]) {
                milliseconds += Int(digit - UInt8(ascii: "0")) * weight
            }
            if fraction.dropFirst(3).contains(where: { $0 != UInt8(ascii: "0") }) { milliseconds += 1 }
            return 1...86_400_000 ~= milliseconds ? .milliseconds(milliseconds) : nil
        }
    }
}

extension ValueFormat where Value == Bool {
    /// Two of the 22 spellings that YAML 1.1 has.
    static var flag: Self {
        var format = number("true or false") { ["true": true, "false": false][$0] }
        format.choices = ["true", "false"]
        return format
    }
}

extension ValueFormat where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    static var choice: Self {
        let choices = Value.allCases.map(\.rawValue)
        var format = scalar(choices.joinedByOr) { Value(rawValue: $0) }
        format.choices = choices
        return format
    }
}

extension ValueFormat where Value == String {
    /// Text that may be empty.
    static func text(_ expectation: String) -> Self {
        .scalar(expectation) { isOneLine($0) ? $0 : nil }
    }

    /// Text that may not be empty.
    static func name(_ expectation: String) -> Self {
        .scalar(expectation) { !$0.isEmpty && isOneLine($0) ? $0 : nil }
    }

    /// A host, as getaddrinfo(3) takes it.
    static var host: Self {
        .scalar("a host name or address") { text in
            !text.isEmpty && text.utf8.allSatisfy(isVisible) ? text : nil
        }
    }

    static var headerName: Self {
        .scalar(HeaderName.expectation) { HeaderName.isUsable($0) ? $0 : nil }
    }

    static var url: Self {
        .scalar(BaseURL.expectation) { BaseURL.normalized($0) }
    }

    static var optionalURL: Self {
        .scalar(BaseURL.expectation + #", or """#) { $0.isEmpty ? "" : BaseURL.normalized($0) }
    }

    /// sockaddr_un has room for 108 bytes, one of them the NUL (unix(7)).
    static var socketPath: Self {
        .scalar(#"an absolute path of at most 107 bytes, or "" for server.host and server.port"#) { text in
            text.isEmpty || text.hasPrefix("/") && text.utf8.count <= 107 && isOneLine(text) ? text : nil
        }
    }

    /// Absolute, since a service's working directory is not the operator's.
    static var filePath: Self {
        .scalar(#"an absolute path, or """#) { text in
            text.isEmpty || text.hasPrefix("/") && isOneLine(text) ? text : nil
        }
    }
}

extension ValueFormat where Value == Secret {
    /// Goes into an HTTP header unchanged. A Bearer token has no quotation marks (b64token of RFC 6750, section 2.1).
    static var key: Self {
        .scalar("visible ASCII characters without blanks or quotation marks") { text in
            text.utf8.allSatisfy { isVisible($0) && !#""'"#.utf8.contains($0) } ? Secret(text) : nil
        }
    }
}

extension ValueFormat where Value == [String] {
    /// GPUs by position or by UUID, each once.
    static var devices: Self {
        Self(expectation: "a list of positions (0, 1, …) or UUIDs (GPU-…, MIG-…), each once", isList: true) { written in
            guard case .list(let devices) = written, devices.allSatisfy(isDevice),
                Set(devices).count == devices.count
            else { return nil }
            return devices
        }
    }

    private static func isDevice(_ text: String) -> Bool {
        if wholeNumber(text) != nil { return true }
        let start = ["GPU-", "MIG-"].first { text.hasPrefix($0) }
        return start != nil && text.utf8.count > 4 && text.utf8.allSatisfy(isVisible)
    }
}

/// A number of plain decimal digits; nil for a sign, a leading zero, or more than an Int holds.
private func wholeNumber(_ text: String) -> Int? {
    let isPlain = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    guard isPlain, text == "0" || !text.hasPrefix("0") else { return nil }
    return Int(text)
}

private func isVisible(_ byte: UInt8) -> Bool { 0x21...0x7E ~= byte }

/// No control characters: they have no place in a path, a name or a log line, and C would cut the text at a NUL.
private func isOneLine(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
}

/// Names of request headers that may carry the HMAC.
enum HeaderName {
    static let expectation = "a header name of letters, digits and hyphens without another meaning"

    /// Headers with another meaning. Some go on to the engine, which the HMAC must never reach; the others belong to the
    /// connection or to the body.
    private static let reserved: Set<String> = [
        "accept", "accept-encoding", "content-type", "content-encoding", "user-agent", "connection", "content-length",
        "host", "transfer-encoding",
    ]

    /// Whether a client can send the HMAC in this header.
    ///
    /// Narrower than a token of RFC 9110, section 5.6.2: nginx silently drops names with other characters
    /// (ignore_invalid_headers, underscores_in_headers). Each request would then seem to have no HMAC.
    static func isUsable(_ name: String) -> Bool {
        !name.isEmpty && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
            && !reserved.contains(name.lowercased())
    }
}
