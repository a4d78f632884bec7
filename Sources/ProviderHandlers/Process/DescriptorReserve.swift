import CGlibc
import Glibc
import Synchronization

/// Descriptors reserved for callers that would abort without one.
///
/// libdispatch is such a caller: it opens a file in /proc now and then, and ends the process when it cannot (workqueue.c). So
/// code that finds no descriptor releases the reserve, and no connection is accepted until it is held again.
public enum DescriptorReserve {
    private static let size = 16
    /// What starting a child takes, and one more: /dev/null, two pipes and the pidfd.
    private static let sizeOfChild = 8
    private static let held = Locked<[CInt]>([])
    /// Read for each connection.
    private static let spent = Atomic(false)

    /// Whether it has been let go of, and is not held again.
    public static var isSpent: Bool { spent.load(ordering: .relaxed) }

    /// Holds it, if it is not held and as much again is left: what is opened next must not spend it at once.
    ///
    /// - Parameter waiting: threads that may wait in accept, each of which has a number already that looks free.
    public static func fill(besides waiting: Int) {
        held.withLock { held in
            guard held.isEmpty else { return }
            // Counted rather than tried: for a moment the last one would be taken.
            if hasFree(2 * size + waiting) { held = open(size).opened }
            spent.store(held.isEmpty, ordering: .relaxed)
        }
    }

    private static func hasFree(_ wanted: Int) -> Bool {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        var (free, next) = (0, CInt(0))
        while free < wanted && next < CInt(clamping: limit.rlim_cur) {
            if fcntl(next, F_GETFD) < 0 { free += 1 }
            next += 1
        }
        return free == wanted
    }

    /// Lets go of it.
    public static func release() {
        held.withLock { held in
            // Also where it was never held: who asks has found no descriptor.
            guard !held.isEmpty else { return }
            for descriptor in held { close(descriptor) }
            held = []
            spent.store(true, ordering: .relaxed)
        }
    }

    /// Looks for as many descriptors as starting a child takes, beforehand, and lets go of the reserve for it if need be:
    /// swift-subprocess 1.0.2 ends the process when it finds none for the second of a child's pipes
    /// (`IODescriptor.deinit`), and waits for good for a child whose pidfd could not be opened.
    ///
    /// - Throws: when there are fewer: the child must not be started.
    static func checkRoomForChild() throws(DescriptorShortage) {
        guard shortage() != nil else { return }
        release()
        if let code = shortage() { throw DescriptorShortage(code: code) }
    }

    /// Why a child cannot be started; nil when it can.
    private static func shortage() -> CInt? {
        let (opened, code) = open(sizeOfChild)
        for descriptor in opened { close(descriptor) }
        return code
    }

    /// Opens up to `count` descriptors, and tells why there are no more.
    private static func open(_ count: Int) -> (opened: [CInt], code: CInt?) {
        var opened: [CInt] = []
        while opened.count < count {
            // The one that takes no file, and fails for nothing but want of descriptors or memory (eventfd(2)).
            let descriptor = eventfd(0, CInt(EFD_CLOEXEC))
            guard descriptor >= 0 else { return (opened, errno) }
            opened.append(descriptor)
        }
        return (opened, nil)
    }
}

/// There are too few descriptors to begin with something.
struct DescriptorShortage: Error, CustomStringConvertible {
    let code: CInt

    var description: String { "\(systemError(code)): too few file descriptors to start a child process" }
}
