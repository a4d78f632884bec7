import Glibc
import TestSupport

/// Runs a command that sees another file instead of a file of the machine, by a mount namespace.
enum MountNamespace {
    private static let start = ["unshare", "--mount"] + (getuid() == 0 ? [] : ["--map-root-user"])

    /// Whether this machine lets us: containers often do not.
    static let isPossible: Bool = {
        let probe = start + ["mount", "--bind", "/etc/passwd", "/etc/passwd"]
        guard let process = try? ChildProcess(probe[0], Array(probe.dropFirst())) else { return false }
        // A command that never ends counts as failed.
        try? waitUntil("the probe has ended") { process.ended != nil }
        return process.ended == .status(0)
    }()

    /// Put in front of a command: it sees what the process sees.
    static func entering(_ process: ChildProcess) -> [String] {
        ["nsenter", "--target", "\(process.pid)", "--mount"]
            + (getuid() == 0 ? [] : ["--user", "--preserve-credentials"])
    }

    /// Put in front of a command. `file` may be of any kind but a directory; `place` has to be there.
    static func showing(_ file: String, as place: String) -> [String] {
        start + ["sh", "-c", #"mount --bind "$0" "$1" && shift && exec "$@""#, file, place]
    }

    /// Put in front of a command. It sees `directory` as /usr/lib/wsl/lib, which need not be there, and the rest as it is.
    ///
    /// - Parameter work: an empty directory of the test's.
    static func showingInWSL(_ directory: String, work: String) -> [String] {
        extending(
            "/usr/lib", in: work, #"rm -f "$0/view/wsl" && mkdir "$0/view/wsl" && ln -s "$2" "$0/view/wsl/lib""#,
            directory)
    }

    /// Put in front of a command. It sees the devices of this machine, and the files that the test adds to `work`/view.
    ///
    /// - Parameter work: an empty directory of the test's.
    static func extendingDevices(in work: String) -> [String] {
        extending("/dev", in: work, ":", "")
    }

    /// Put in front of a command. It sees /etc/provider-client with a file `api_key`, and the rest as it is.
    ///
    /// - Parameters:
    ///   - key: the file's contents, which may be anything but a secret of somebody's.
    ///   - mode: its permissions, in digits.
    ///   - work: an empty directory of the test's.
    static func showingKey(_ key: String, mode: String, work: String) -> [String] {
        extending(
            "/etc", in: work,
            #"rm -f "$0/view/provider-client" && mkdir "$0/view/provider-client" && printf %s "$2" >"$0/view/provider-client/api_key" && chmod \#(mode) "$0/view/provider-client/api_key""#,
            key)
    }

    /// Mounts a directory of links to all that is in `place` over it, once `change` has changed the directory.
    private static func extending(_ place: String, in work: String, _ change: String, _ argument: String) -> [String] {
        let script = #"""
            set -e
            mkdir "$0/real" "$0/view"
            mount --rbind "$1" "$0/real"
            ln -s "$0"/real/* "$0/view"
            \#(change)
            mount --bind "$0/view" "$1"
            shift 2
            exec "$@"
            """#
        return start + ["sh", "-c", script, work, place, argument]
    }
}
