import Glibc
import TestSupport

/// Runs a command that sees another file in the place of one of the machine's, by a namespace of its own.
enum MountNamespace {
    private static let start = ["unshare", "--mount"] + (getuid() == 0 ? [] : ["--map-root-user"])

    /// Whether this machine lets us: containers often do not.
    static let isPossible: Bool = {
        let probe = start + ["mount", "--bind", "/etc/passwd", "/etc/passwd"]
        guard let process = try? ChildProcess(probe[0], Array(probe.dropFirst())) else { return false }
        // One that never ends is as good as one that fails.
        try? waitUntil("the probe has ended") { process.ended != nil }
        return process.ended == .status(0)
    }()

    /// Put in front of a command. `file` may be of any kind but a directory; `place` has to be there.
    static func showing(_ file: String, as place: String) -> [String] {
        start + ["sh", "-c", #"mount --bind "$0" "$1" && shift && exec "$@""#, file, place]
    }
}
