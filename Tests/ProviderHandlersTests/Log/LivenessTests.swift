import Testing

@testable import ProviderHandlers

/// The watchdog's judgement, with times of the test's own.
@Suite struct LivenessTests {
    /// Looks once a second, with a patience of 30 s.
    private struct Watched {
        var liveness = Liveness(interval: .seconds(1), patience: .seconds(30))
        var now = ContinuousClock.now
        var accepting = Liveness.Accepting(isWaiting: false, isExcused: false, accepted: 0)
        var sampling = Liveness.Sampling(steps: 1, due: nil)

        mutating func look(after pause: Duration = .seconds(1)) -> String? {
            now += pause
            return liveness.look(at: now, accepting, sampling)
        }

        /// The first finding within the number of looks.
        mutating func look(
            times: Int, after pause: Duration = .seconds(1), _ change: (inout Self) -> Void = { _ in }
        ) -> (look: Int, what: String)? {
            for look in 1...times {
                change(&self)
                if let found = self.look(after: pause) { return (look, found) }
            }
            return nil
        }
    }

    @Test func idleIsWell() {
        var watched = Watched()
        #expect(watched.look(times: 10_000) == nil)
    }

    @Test func anUnacceptedConnection() {
        var watched = Watched()
        _ = watched.look(times: 10)
        watched.accepting.isWaiting = true
        let found = watched.look(times: 100)
        // The first look with it does not count: it may have come just now.
        #expect(found?.look == 31)
        #expect(found?.what == "connections wait and none has been accepted for 30 s")
        #expect(watched.look() != nil)
        watched.accepting.accepted += 1
        #expect(watched.look() == nil)
        #expect(watched.look(times: 29) == nil)
        #expect(watched.look() != nil)
        watched.accepting.isWaiting = false
        #expect(watched.look() == nil)
    }

    /// Under load a connection always waits; only progress counts.
    @Test func loadIsWell() {
        var watched = Watched()
        watched.accepting.isWaiting = true
        #expect(watched.look(times: 1000) { $0.accepting.accepted += 1 } == nil)
        var slow = Watched()
        slow.accepting.isWaiting = true
        var look = 0
        #expect(
            slow.look(times: 1000) {
                look += 1
                if look % 29 == 0 { $0.accepting.accepted += 1 }
            } == nil)
    }

    @Test func allThreadsAtWorkAreWell() {
        var watched = Watched()
        watched.accepting = Liveness.Accepting(isWaiting: true, isExcused: true, accepted: 80)
        #expect(watched.look(times: 10_000) == nil)
        // Their time does not count afterwards either.
        watched.accepting.isExcused = false
        #expect(watched.look(times: 30) == nil)
        #expect(watched.look() != nil)
    }

    /// A connection that leaves and another that comes do not count as one waiting connection.
    @Test func shortWaitsDoNotAddUp() {
        var watched = Watched()
        #expect(watched.look(times: 1000) { $0.accepting.isWaiting.toggle() } == nil)
    }

    @Test(arguments: [Duration.seconds(5), .milliseconds(6500), .seconds(3600)])
    func aSamplerThatStandsStill(due: Duration) {
        var watched = Watched()
        watched.sampling.due = due
        let found = watched.look(times: 10_000)
        #expect(found?.look == Int((due + .seconds(30)).inSeconds.rounded(.up)) + 1)
        #expect(found?.what.hasPrefix("the GPU sampler has not moved for ") == true)
        watched.sampling.steps += 1
        #expect(watched.look() == nil)
    }

    /// An unkillable run is known and reported; it does not affect the worker.
    @Test func aRunThatHangsIsWell() {
        var watched = Watched()
        watched.sampling.due = .milliseconds(6500)
        #expect(watched.look(times: 20) == nil)
        watched.sampling = Liveness.Sampling(steps: 2, due: nil)
        #expect(watched.look(times: 100_000) == nil)
    }

    @Test func slowRunsAreWell() {
        var watched = Watched()
        var look = 0
        let found = watched.look(times: 1000) { watched in
            look += 1
            guard look % 6 == 0 else { return }
            watched.sampling.steps += 1
            watched.sampling.due = watched.sampling.due == .seconds(5) ? .milliseconds(6500) : .seconds(5)
        }
        #expect(found == nil)
    }

    /// SIGSTOP, a sleeping or starved machine: without a look, nothing is known of that time.
    @Test func timeWithoutALookDoesNotCount() {
        var watched = Watched()
        watched.sampling.due = .seconds(5)
        watched.accepting.isWaiting = true
        #expect(watched.look(times: 3) == nil)
        #expect(watched.look(after: .seconds(86_400)) == nil)
        #expect(watched.look(times: 20) == nil)
        // It is found in the end all the same, also by looks that are all late.
        #expect(watched.look(times: 20, after: .seconds(600)) != nil)
    }
}
