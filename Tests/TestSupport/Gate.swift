import Foundation

/// Something one thread waits for and another brings about.
public final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    public init() {}

    /// Lets one waiter through, now or later.
    public func open() {
        semaphore.signal()
    }

    /// Blocks until the gate is opened.
    public func wait() throws {
        guard semaphore.wait(timeout: .patience) == .success else {
            throw NeverHappened(description: "a gate was never opened")
        }
    }
}

/// Runs blocking code on a new thread, so that waiting tests hold none of Swift's few threads.
public func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withTaskExecutorPreference(ThreadExecutor()) { try body() }
}

/// Gives each piece of a task a new thread; the task stays the test's own, to which its findings are put down.
private final class ThreadExecutor: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        Thread.detachNewThread { job.runSynchronously(on: executor) }
    }
}
