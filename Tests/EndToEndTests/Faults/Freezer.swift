import Foundation
import TestSupport

/// A control group that stops its processes so that not even SIGKILL ends them: the freezer of version 1. The freezer of
/// version 2 lets SIGKILL end a frozen process.
final class Freezer: Sendable {
    private static let root = "/sys/fs/cgroup/freezer"
    private let path: String

    static var obstacle: String? {
        FileManager.default.isWritableFile(atPath: root) && FileManager.default.fileExists(atPath: root + "/tasks")
            ? nil : "needs root and the freezer of control groups, version 1"
    }

    init() throws {
        path = Self.root + "/provider-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // Frozen processes would stay forever.
        try? thaw()
        rmdir(path)
    }

    func freeze(_ pid: pid_t) throws {
        try write("\(pid)", "tasks")
        try write("FROZEN", "freezer.state")
        try waitUntil("it is frozen") {
            try String(contentsOfFile: path + "/freezer.state", encoding: .utf8) == "FROZEN\n"
        }
    }

    func thaw() throws {
        try write("THAWED", "freezer.state")
    }

    private func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }
}
