public import Glibc

/// Starts threads.
public enum Threads {
    /// No thread can be started now; `code` is the error of pthread_create(3).
    public struct Shortage: Error {
        public let code: CInt
    }

    /// Starts a detached thread, which has this thread's signal mask.
    ///
    /// - Parameter stackSize: in bytes; memory that is not touched costs nothing.
    @discardableResult
    public static func start(
        stackSize: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void
    ) throws(Shortage) -> pthread_t {
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        unsafe pthread_attr_setstacksize(&attributes, stackSize)
        let context = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, &attributes, runThread, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw Shortage(code: code)
        }
        return thread
    }

    fileprivate final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }
}

/// A free function: a closure formed in main-actor code would trap on another thread.
private func runThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    unsafe Unmanaged<Threads.Body>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
