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
