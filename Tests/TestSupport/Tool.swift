import Foundation

/// Programs that tests need and that come from elsewhere.
public enum Tool {
    /// Where a program is; also looks where an ordinary user's PATH does not.
    public static func path(_ name: String) -> String? {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        return path.components(separatedBy: ":").map { $0 + "/" + name }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Whether a test that needs it shall run: where it is missing the test is skipped, but on CI it fails.
    public static func isExpected(_ name: String) -> Bool {
        path(name) != nil || ProcessInfo.processInfo.environment["CI"] == "true"
    }
}
