/// Public URLs as other programs tell them: what is no URL goes neither into a report nor, as it is, into the log.
enum PublicURL {
    /// Far above any real one (bytes).
    private static let maxLength = 1024

    /// The URL in `BaseURL`'s form; nil for a URL that is not https or not fit for clients.
    static func https(_ text: String) -> String? {
        guard text.utf8.count <= maxLength, let url = BaseURL.normalized(text), url.hasPrefix("https://") else {
            return nil
        }
        return url
    }

    /// `https://` and the host; nil for what is no DNS name of at least two labels (RFC 1035, 2.3.1; RFC 1123, 2.1).
    static func https(host: String) -> String? {
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard host.utf8.count <= 253, labels.count >= 2, labels.allSatisfy(isLabel) else { return nil }
        // A last label of digits alone would make it an address.
        guard labels[labels.count - 1].utf8.contains(where: isLetter) else { return nil }
        return "https://" + host
    }

    private static func isLabel(_ label: Substring) -> Bool {
        1...63 ~= label.utf8.count && !label.hasPrefix("-") && !label.hasSuffix("-")
            && label.utf8.allSatisfy { isLetter($0) || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == 0x2D }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte.asciiLowercased
    }
}
