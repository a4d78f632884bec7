public import Foundation

/// Threads, descriptors and children of a process, counted so that one too many shows.
public struct Holdings: Equatable, Sendable, CustomStringConvertible {
    /// Threads of the program itself and of libcurl.
    public var threads: Int
    /// Threads of Swift's pool and of libdispatch below it: started when first needed, ended when idle, at most one for each
    /// processor at a time.
    public var poolThreads: Int
    public var descriptors: Int
    /// Zombies count: nobody has waited for them.
    public var children: Int
    /// Resident memory in KiB; 0 once the process is gone.
    public var residentKiB: Int

    public init(of pid: pid_t) {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        // libdispatch names a thread after its queue. A new thread has the name of the thread that starts it.
        poolThreads = tasks.count { task in
            let name = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(task)/comm") ?? Data()
            return String(decoding: name, as: UTF8.self).contains("-qos")
        }
        threads = tasks.count - poolThreads
        descriptors = Self.openDescriptors(of: pid).count
        children = Vitals.children(of: pid).count
        residentKiB = Vitals.kibibytes("VmRSS", of: pid) ?? 0
    }

    public var description: String {
        "\(threads) threads and \(poolThreads) of the pool, \(descriptors) descriptors, \(children) children"
    }

    /// The least that an idle process is seen to hold, once it has been seen ten times.
    ///
    /// - Parameter maxThreads: of the program itself; surplus threads of a burst end within seconds.
    public static func atRest(_ process: ChildProcess, maxThreads: Int = .max) async throws -> Holdings {
        var least = Holdings(of: process.pid)
        var sightings = 0
        try await eventually("it comes to rest") {
            let now = Holdings(of: process.pid)
            let before = least
            least = least.least(now)
            if !before.isAlike(least) { sightings = 0 }
            if now.isAlike(least) { sightings += 1 }
            return sightings >= 10 && least.threads <= maxThreads
        }
        guard least.descriptors > 3, least.threads > 0 else { throw NeverHappened(description: "no base: \(least)") }
        return least
    }

    private func isAlike(_ other: Holdings) -> Bool {
        threads == other.threads && descriptors == other.descriptors && children == other.children
    }

    /// Whether no more is held than in `base`; memory is not compared.
    public func isWithin(_ base: Holdings) -> Bool {
        threads <= base.threads && descriptors <= base.descriptors && children <= base.children
            && poolThreads <= base.poolThreads + ProcessInfo.processInfo.activeProcessorCount
    }

    /// The lesser number of each.
    public func least(_ other: Holdings) -> Holdings {
        var least = self
        least.threads = min(threads, other.threads)
        least.poolThreads = min(poolThreads, other.poolThreads)
        least.descriptors = min(descriptors, other.descriptors)
        least.children = min(children, other.children)
        least.residentKiB = min(residentKiB, other.residentKiB)
        return least
    }

    /// The numbers of the descriptors that a process has open.
    public static func openDescriptors(of pid: pid_t) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        return names.compactMap { Int($0) }
    }
}
