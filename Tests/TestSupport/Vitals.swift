public import Foundation

/// What proc(5) tells of a process.
public enum Vitals {
    /// The processes that the process has started.
    public static func children(of pid: pid_t) -> [pid_t] {
        names("/proc").compactMap { pid_t($0) }.filter { field("PPid", of: $0) == "\(pid)" }
    }

    /// A field of /proc/PID/status; nil once the process is gone.
    public static func field(_ name: String, of pid: pid_t) -> String? {
        guard let status = FileManager.default.contents(atPath: "/proc/\(pid)/status") else { return nil }
        let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix(name + ":") }?.dropFirst(name.count + 1)
            .trimmingCharacters(in: .whitespaces)
    }

    /// A size of /proc/PID/status in KiB, such as VmRSS or VmHWM.
    public static func kibibytes(_ name: String, of pid: pid_t) -> Int? {
        field(name, of: pid)?.split(separator: " ").first.flatMap { Int($0) }
    }

    /// The soft limit in a line of /proc/PID/limits.
    public static func limit(_ name: String, of pid: pid_t) -> String? {
        guard let limits = FileManager.default.contents(atPath: "/proc/\(pid)/limits") else { return nil }
        let lines = String(decoding: limits, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix(name) }?.dropFirst(name.count).split(separator: " ").first.map(String.init)
    }

    /// The sockets that a process has open, as `socket:[INODE]`; empty once the process is gone.
    public static func sockets(of pid: pid_t) -> Set<String> {
        let directory = "/proc/\(pid)/fd/"
        let targets = names(directory).compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: directory + $0)
        }
        return Set(targets.filter { $0.hasPrefix("socket:") })
    }

    private static func names(_ directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }
}
