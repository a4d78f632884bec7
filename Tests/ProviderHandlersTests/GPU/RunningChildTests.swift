import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// Stopping, at each stage of a child's life.
@Suite("A child that runs", .timeLimit(.patience))
struct RunningChildTests {
    /// A process of its own group that only a signal ends.
    private struct Sleeper {
        let number: pid_t

        init() throws {
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
            var number: pid_t = 0
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("600"), nil]
            defer { for argument in arguments { free(argument) } }
            let code = posix_spawn(&number, "/bin/sleep", nil, &attributes, &arguments, environ)
            guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }
            self.number = number
        }

        /// The signal that has ended it; waits for that.
        func end() async throws -> CInt {
            var status: CInt = 0
            try await eventually("it has ended") { waitpid(number, &status, WNOHANG) == number }
            return status & 0x7f
        }
    }

    @Test("one that runs is killed, and none may be started any more")
    func running() async throws {
        let child = RunningChild()
        #expect(child.prepare())
        let sleeper = try Sleeper()
        child.begin(sleeper.number)
        child.stop(waitingForStart: .seconds(600))
        #expect(try await sleeper.end() == SIGKILL)
        child.end()
        #expect(!child.prepare())
    }

    @Test("one that is just being started is waited for and killed", arguments: [1, 2])
    func starting(stops: Int) async throws {
        let child = RunningChild()
        #expect(child.prepare())
        let sleeper = try Sleeper()
        try await withThrowingTaskGroup { group in
            for _ in 0..<stops {
                group.addTask { try await onThread { child.stop(waitingForStart: .seconds(600)) } }
            }
            try await eventually("it is stopped") { child.isStopped }
            #expect(isAlive(sleeper.number))
            child.begin(sleeper.number)
            try await group.waitForAll()
        }
        #expect(try await sleeper.end() == SIGKILL)
        child.end()
    }

    @Test("one that cannot be started holds nobody")
    func notStarted() async throws {
        let child = RunningChild()
        #expect(child.prepare())
        async let stop: Void = onThread { child.stop(waitingForStart: .seconds(600)) }
        try await eventually("it is stopped") { child.isStopped }
        child.end()
        try await stop
    }
}
