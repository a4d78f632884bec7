import Foundation

/// Runs a command that sees another file in the place of one of the machine's, by a namespace of its own.
enum MountNamespace {
    private static let start = ["unshare", "--mount"] + (getuid() == 0 ? [] : ["--map-root-user"])

    /// Whether this machine lets us: containers often do not.
    static let isPossible: Bool = {
        let probe = Process()
        probe.executableURL = URL(fileURLWithPath: "/bin/sh")
        probe.arguments = ["-c", (start + ["mount", "--bind", "/etc/passwd", "/etc/passwd"]).joined(separator: " ")]
        probe.standardError = nil
        guard (try? probe.run()) != nil else { return false }
        probe.waitUntilExit()
        return probe.terminationStatus == 0
    }()

    /// Put in front of a command. `file` may be of any kind but a directory; `place` has to be there.
    static func showing(_ file: String, as place: String) -> [String] {
        start + ["sh", "-c", #"mount --bind "$0" "$1" && shift && exec "$@""#, file, place]
    }
}
