import CGlibc

/// Keeps this process alive when a file that it has mapped is truncated: the kernel then answers an access with SIGBUS.
///
/// The handler puts zeros of this process alone in the place of the whole mapping. The access is repeated and finds them; the
/// owner of the mapping recognizes them by the missing magic number. Any other SIGBUS has its former effect.
enum BusErrors {
    /// Also orders the changes of the handler's table.
    private static let isInstalled = Locked(false)

    /// - Returns: whether the handler is there and had a place for it.
    ///
    /// Never inlined, as `forget`: the handler's table belongs to this file (CGlibc).
    @inline(never)
    static func survive(from start: UInt, size: Int) -> Bool {
        isInstalled.withLock { isInstalled in
            isInstalled = isInstalled || cglibc_handle_bus_errors() == 0
            return isInstalled && cglibc_replace_mapping(0, start, size) != 0
        }
    }

    /// To be called before the mapping goes.
    @inline(never)
    static func forget(_ start: UInt) {
        isInstalled.withLock { _ in _ = cglibc_replace_mapping(start, 0, 0) }
    }
}
