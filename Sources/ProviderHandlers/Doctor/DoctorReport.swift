/// The findings of one look at the machine, in the order of `CheckCode`.
public struct DoctorReport: Sendable, Equatable, Encodable {
    public let checks: [Finding]
    /// 78 for a configuration that cannot be used; else 1 if a check failed; else 0.
    let isConfigurationBroken: Bool

    private enum CodingKeys: CodingKey { case checks }

    init(_ findings: [Finding], isConfigurationBroken: Bool = false) {
        let order = Dictionary(uniqueKeysWithValues: CheckCode.allCases.enumerated().map { ($1, $0) })
        checks = findings.sorted { order[$0.code, default: 0] < order[$1.code, default: 0] }
        self.isConfigurationBroken = isConfigurationBroken
    }

    /// The program's exit status.
    public var exitStatus: Int32 {
        if isConfigurationBroken { return ConfigurationError.exitStatus }
        return checks.contains(where: \.isFailure) ? 1 : 0
    }

    /// `{"checks":[{"code":…,"fix":…,"saw":…,"status":…}]}`.
    public var json: String { String(decoding: JSON.encode(self), as: UTF8.self) }

    /// A line for each check.
    ///
    /// - Parameter isColored: whether escape sequences colour the status.
    public func text(isColored: Bool) -> String {
        let width = CheckCode.allCases.map(\.rawValue.count).max() ?? 0
        return checks.map { check in
            let code = check.code.rawValue + String(repeating: " ", count: width - check.code.rawValue.count)
            let word = Self.padded(check.status)
            let status = isColored ? "\u{1B}[\(Self.color(check.status))m\(word)\u{1B}[0m" : word
            return "\(status)  \(code)  \(check.saw)" + (check.fix.isEmpty ? "" : " -> \(check.fix)")
        }.joined(separator: "\n")
    }

    private static func padded(_ status: Finding.Status) -> String {
        switch status {
        case .ok: "ok  "
        case .warn: "warn"
        case .fail: "FAIL"
        case .skip: "skip"
        }
    }

    /// ECMA-48, SGR.
    private static func color(_ status: Finding.Status) -> String {
        switch status {
        case .ok: "32"
        case .warn: "33"
        case .fail: "1;31"
        case .skip: "2"
        }
    }
}
