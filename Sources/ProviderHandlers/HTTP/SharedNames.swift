import CCurl
import Glibc

/// The addresses that libcurl has found for names, known to all transfers of a client.
///
/// One look-up a minute serves them all, and none has a table of its own: 2.5 KiB for each open stream.
///
/// `@unchecked Sendable`: the pointers are set once, and libcurl locks around each use of what it shares, by the
/// functions given here (libcurl-share(3)).
@safe final class SharedNames: @unchecked Sendable {
    let share: UnsafeMutableRawPointer
    /// One for each kind of data: libcurl may lock one while it holds another.
    private let locks: UnsafeMutablePointer<pthread_mutex_t>
    private static let kinds = Int(CURL_LOCK_DATA_LAST.rawValue)

    init() {
        guard let share = unsafe curl_share_init() else { fatalError("libcurl: out of memory") }
        unsafe self.share = unsafe share
        unsafe locks = .allocate(capacity: Self.kinds)
        // It cannot fail here; see `Locked`.
        for kind in 0..<Self.kinds { unsafe pthread_mutex_init(locks + kind, nil) }
        unsafe ccurl_share_setopt_pointer(share, CURLSHOPT_USERDATA, locks)
        unsafe ccurl_share_setopt_lock(share, CURLSHOPT_LOCKFUNC) { _, kind, _, locks in
            guard let lock = unsafe SharedNames.lock(of: kind, locks) else { return }
            unsafe pthread_mutex_lock(lock)
        }
        unsafe ccurl_share_setopt_unlock(share, CURLSHOPT_UNLOCKFUNC) { _, kind, locks in
            guard let lock = unsafe SharedNames.lock(of: kind, locks) else { return }
            unsafe pthread_mutex_unlock(lock)
        }
        unsafe ccurl_share_setopt_data(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS)
    }

    deinit {
        // Cannot fail: each transfer that uses it refers to it.
        unsafe curl_share_cleanup(share)
        for kind in 0..<Self.kinds { unsafe pthread_mutex_destroy(locks + kind) }
        unsafe locks.deallocate()
    }

    private static func lock(
        of kind: curl_lock_data, _ locks: UnsafeMutableRawPointer?
    ) -> UnsafeMutablePointer<pthread_mutex_t>? {
        unsafe locks.map { unsafe $0.assumingMemoryBound(to: pthread_mutex_t.self) + Int(kind.rawValue) }
    }
}
