import Dispatch

/// Answers GET /health: the report, collected at most once a second however many ask.
public final class HealthCheck: Sendable {
    private typealias Answer = (head: HTTPResponseHead, body: [UInt8])

    private struct State {
        var last: (answer: Answer, time: ContinuousClock.Instant)?
        var isCollecting = false
        var waiting = 0
    }

    /// Longer than a collection takes.
    private static let waitLimit = DispatchTimeInterval.seconds(5)
    /// Each one that waits holds a thread, of which there are not many beyond those of completions.
    private static let maxWaiting = 4

    private let collector: ReportCollector
    private let gpu: @Sendable () -> GPUStatus
    private let willCollect: @Sendable () -> Void
    private let inFlight: @Sendable () -> Int
    private let freshness: Duration
    private let maxAge: Duration
    private let state = Locked(State())
    private let collection = DispatchGroup()

    /// - Parameters:
    ///   - gpu: the newest GPU state; must not wait.
    ///   - willCollect: called ahead of a collection, so that what it sets off is seen in the next one, if not in this.
    ///   - inFlight: completions that run.
    public convenience init(
        collector: ReportCollector, gpu: @escaping @Sendable () -> GPUStatus,
        willCollect: @escaping @Sendable () -> Void = {}, inFlight: @escaping @Sendable () -> Int
    ) {
        self.init(
            collector: collector, gpu: gpu, willCollect: willCollect, inFlight: inFlight, freshness: .seconds(1),
            maxAge: .seconds(5))
    }

    /// - Parameters:
    ///   - freshness: a report younger than this is answered again.
    ///   - maxAge: one older than this is not answered any more, even while the next is being collected.
    init(
        collector: ReportCollector, gpu: @escaping @Sendable () -> GPUStatus,
        willCollect: @escaping @Sendable () -> Void = {}, inFlight: @escaping @Sendable () -> Int,
        freshness: Duration, maxAge: Duration
    ) {
        self.collector = collector
        self.gpu = gpu
        self.willCollect = willCollect
        self.inFlight = inFlight
        self.freshness = freshness
        self.maxAge = maxAge
    }

    /// 200 with the report, 503 when the engine or the GPU state is unknown; after 5 s at the latest.
    ///
    /// One caller collects. While it does, the others get the report before, if that is young enough; otherwise a few
    /// wait for the new one, and the rest are told that the engine is still being asked.
    func answer() -> (head: HTTPResponseHead, body: [UInt8]) {
        if isMineToCollect() { return collect() }
        if let answer = recentAnswer() { return answer }
        if startWaiting() {
            _ = collection.wait(timeout: .now() + Self.waitLimit)
            state.withLock { $0.waiting -= 1 }
            if let answer = recentAnswer() { return answer }
        }
        return Self.answer(collector.reportWithoutModels(gpu(), inFlight: inFlight()))
    }

    private func isMineToCollect() -> Bool {
        state.withLock { state in
            if state.isCollecting { return false }
            if let last = state.last, ContinuousClock.now - last.time < freshness { return false }
            state.isCollecting = true
            collection.enter()
            return true
        }
    }

    private func recentAnswer() -> Answer? {
        state.withLock { state in
            guard let last = state.last, ContinuousClock.now - last.time < maxAge else { return nil }
            return last.answer
        }
    }

    private func startWaiting() -> Bool {
        state.withLock { state in
            guard state.waiting < Self.maxWaiting else { return false }
            state.waiting += 1
            return true
        }
    }

    private func collect() -> Answer {
        willCollect()
        let answer = Self.answer(collector.collect(gpu, inFlight: inFlight()))
        state.withLock { state in
            state.last = (answer, .now)
            state.isCollecting = false
        }
        collection.leave()
        return answer
    }

    private static func answer(_ report: HealthReport) -> Answer {
        JSONAnswer.make(status: report.errors == nil ? 200 : 503, report)
    }
}
