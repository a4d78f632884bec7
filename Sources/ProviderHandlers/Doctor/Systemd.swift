import Glibc

/// What systemd tells of units.
enum Systemd {
    /// Whether systemd runs this machine (sd_booted(3)).
    static var isRunning: Bool {
        var information = stat()
        return unsafe lstat("/run/systemd/system", &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }

    /// The properties of units, by `systemctl show`; nil when systemctl gives none.
    static func show(_ units: [String], _ properties: [String]) -> [[String: String]]? {
        let arguments = ["show", "--no-pager", "--property=" + (["Id"] + properties).joined(separator: ",")] + units
        guard case .output(let bytes) = OtherProgram.run("systemctl", arguments) else { return nil }
        return parse(String(decoding: bytes, as: UTF8.self))
    }

    /// The units of systemd's spans, in seconds (systemd.time(7)).
    private static let units = [
        "y": 31_557_600, "month": 2_629_800, "w": 604_800, "d": 86_400, "h": 3600, "min": 60, "s": 1, "ms": 1e-3,
        "us": 1e-6,
    ]

    /// A span as systemd writes it, such as `5min 3.2s`; nil for `infinity` and anything else.
    static func span(_ text: String) -> Duration? {
        let parts = text.split(separator: " ").map { part -> Double? in
            let unit = part.drop { $0.isNumber || $0 == "." }
            guard let number = Double(part[..<unit.startIndex]), let scale = units[String(unit)] else { return nil }
            return number * scale
        }
        guard !parts.isEmpty, !parts.contains(nil) else { return nil }
        return .seconds(parts.compactMap(\.self).reduce(0, +))
    }

    /// Reads `Name=value` lines; a blank line ends a unit.
    static func parse(_ text: String) -> [[String: String]] {
        var units: [[String: String]] = []
        var unit: [String: String] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let mark = line.firstIndex(of: "=") {
                unit[String(line[..<mark])] = String(line[line.index(after: mark)...])
            } else if line.isEmpty, !unit.isEmpty {
                units.append(unit)
                unit = [:]
            }
        }
        if !unit.isEmpty { units.append(unit) }
        return units
    }
}
