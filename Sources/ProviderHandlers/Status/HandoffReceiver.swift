import Glibc
public import Logging

/// Counts the completions that nginx forwards by itself: nginx tells the outcome of each to a Unix datagram socket.
///
/// One worker of a machine receives for all. The others wait for its lock, which the kernel frees when that worker ends. nginx
/// meets a closed socket once before it connects to the successor's: that costs one message for each of its processes.
public final class HandoffReceiver: Sendable {
    /// More than `nginx/provider-handoff.conf` ever writes.
    private static let maxMessageBytes = 4096

    private let directory: String
    private let recorder: RequestRecorder
    private let logger: Logger
    private let socket = Locked<CInt?>(nil)
    private let isStarted = Locked(false)

    /// - Parameter directory: where `handoff.sock` and `handoff.lock` are made.
    public init(directory: String, recorder: RequestRecorder, logger: Logger) {
        self.directory = directory
        self.recorder = recorder
        self.logger = logger
    }

    /// Starts the thread that receives; it ends with the process. A second call does nothing.
    public func start() {
        let isFirst = isStarted.withLock { isStarted in
            defer { isStarted = true }
            return !isStarted
        }
        guard isFirst else { return }
        do throws(Threads.Shortage) {
            try Threads.start { [self] in receive() }
        } catch {
            logger.warning(
                "forwarded completions are not counted: no thread can be started: \(systemError(error.code))")
        }
    }

    /// Counts what nginx has sent and nobody has read yet; for a worker that is about to end.
    public func finish() {
        guard let descriptor = socket.withLock({ $0 }) else { return }
        while let message = Self.message(from: descriptor, CInt(MSG_DONTWAIT)) { count(message) }
    }

    private func receive() {
        let descriptor: CInt
        do throws(Problem) {
            descriptor = try takeOver()
        } catch {
            logger.warning("forwarded completions are not counted: \(error.reason)")
            return
        }
        socket.withLock { $0 = descriptor }
        receive(from: descriptor)
    }

    /// Counts what comes, until the socket can no longer be read.
    func receive(from descriptor: CInt) {
        while true {
            if let message = Self.message(from: descriptor, 0) {
                count(message)
                continue
            }
            switch errno {
            case EINTR: break
            // A lack of memory passes.
            case ENOMEM, ENOBUFS, EAGAIN: usleep(100_000)
            case let code:
                let reason = "\(directory)/handoff.sock: \(systemError(code))"
                logger.warning("forwarded completions are no longer counted: \(reason); restart the worker")
                return
            }
        }
    }

    private func count(_ message: [UInt8]) {
        guard let outcome = HandoffRecord.outcome(message) else { return }
        recorder.record(outcome)
    }

    private struct Problem: Error {
        let reason: String

        init(_ path: String) { reason = "\(path): \(systemError(errno))" }
    }

    /// Waits until no other worker receives, and makes the socket. Both descriptors stay open as long as the process lives.
    private func takeOver() throws(Problem) -> CInt {
        let lockPath = directory + "/handoff.lock"
        let lock = unsafe open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw Problem(lockPath) }
        while flock(lock, LOCK_EX) != 0 {
            guard errno == EINTR else { throw Problem(lockPath) }
        }
        let path = directory + "/handoff.sock"
        // A predecessor's: nobody else holds the lock.
        unsafe unlink(path)
        let descriptor = Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 && bind(descriptor, path) else { throw Problem(path) }
        // nginx's group is that of the directory, which has the set-group-ID bit (provider-client.tmpfiles).
        guard unsafe chmod(path, 0o660) == 0 else { throw Problem(path) }
        return descriptor
    }

    private func bind(_ descriptor: CInt, _ path: String) -> Bool {
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
            errno = ENAMETOOLONG
            return false
        }
        return unsafe withUnixAddress(bytes) { unsafe Glibc.bind(descriptor, $0, $1) == 0 }
    }

    /// The next message; nil, with errno, when a signal came first, none is waiting, or recv(2) fails.
    private static func message(from descriptor: CInt, _ flags: CInt) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: maxMessageBytes)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, flags) }
        // The buffer's release leaves errno as it is (free(3), since glibc 2.33).
        return count < 0 ? nil : Array(buffer.prefix(count))
    }
}
