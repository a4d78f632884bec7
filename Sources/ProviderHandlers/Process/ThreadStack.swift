import CGlibc
import Glibc

/// The stack of the thread that asks.
enum ThreadStack {
    /// What functions that are called may use below their caller's frame before they call others: a margin.
    private static let margin: UInt = 1024

    /// Gives the pages back to the system that deeper calls have touched and that nothing uses any more.
    ///
    /// They would stay for as long as the thread does: "subsequent accesses of pages in the range will succeed, but will
    /// result in […] zero-fill-on-demand pages" (madvise(2), MADV_DONTNEED).
    static func releaseUnused() {
        let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
        defer { unsafe attributes.deallocate() }
        guard unsafe pthread_getattr_np(pthread_self(), attributes) == 0 else { return }
        defer { unsafe pthread_attr_destroy(attributes) }
        var bottom: UnsafeMutableRawPointer?
        var size = 0
        guard unsafe pthread_attr_getstack(attributes, &bottom, &size) == 0, let bottom = unsafe bottom else { return }
        let page = UInt(sysconf(CInt(_SC_PAGESIZE)))
        let start = UInt(bitPattern: bottom)
        // A variable of this frame is where the used part ends, but for what is called from here.
        var here: UInt8 = 0
        let used = unsafe withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
        // Under AddressSanitizer a variable may be elsewhere.
        guard used > start + margin, used < start + UInt(size) else { return }
        let end = (used - margin) / page * page
        guard end > start else { return }
        _ = unsafe madvise(bottom, Int(end - start), MADV_DONTNEED)
    }
}
