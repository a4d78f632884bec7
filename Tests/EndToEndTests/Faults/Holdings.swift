import Foundation
import TestSupport

/// What a worker holds of its machine, counted so that a single one too many shows.
struct Holdings: Equatable, Sendable, CustomStringConvertible {
    /// The worker's own and libcurl's.
    var threads: Int
    /// Those of Swift's pool, of libdispatch below it and of swift-subprocess. They come when they are first needed and go
    /// when they have been idle, at most one for each processor at a time.
    var poolThreads: Int
    var descriptors: Int
    /// Zombies count: they have not been waited for.
    var children: Int

    init(of pid: pid_t) {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        // libdispatch names a thread after the queue it works for; who is started by a thread has its name at first.
        poolThreads = tasks.count { task in
            let name = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(task)/comm") ?? Data()
            return String(decoding: name, as: UTF8.self).contains("-qos")
        }
        threads = tasks.count - poolThreads
        descriptors = Self.openDescriptors(of: pid).count
        children = Vitals.children(of: pid).count
    }

    var description: String {
        "\(threads) threads and \(poolThreads) of the pool, \(descriptors) descriptors, \(children) children"
    }

    /// What a process holds when it has nothing to do: the least of what is seen, once it has been seen ten times.
    ///
    /// - Parameter maxThreads: more of its own it does not keep; those that a crowd has started end within seconds.
    static func atRest(_ process: ChildProcess, maxThreads: Int = .max) async throws -> Holdings {
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

    /// Whether nothing is held beyond `base`.
    func isWithin(_ base: Holdings) -> Bool {
        threads <= base.threads && descriptors <= base.descriptors && children <= base.children
            && poolThreads <= base.poolThreads + ProcessInfo.processInfo.activeProcessorCount
    }

    /// The least of both, one by one.
    private func least(_ other: Holdings) -> Holdings {
        var least = self
        least.threads = min(threads, other.threads)
        least.poolThreads = min(poolThreads, other.poolThreads)
        least.descriptors = min(descriptors, other.descriptors)
        least.children = min(children, other.children)
        return least
    }

    static func openDescriptors(of pid: pid_t) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        return names.compactMap { Int($0) }
    }
}
