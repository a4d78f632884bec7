import Dispatch
import Synchronization

/// Answers GET /health: the report, collected at most once a second however many ask.
public final class HealthCheck: Sendable {
    private typealias Answer = (head: HTTPResponseHead, body: [UInt8])

    private struct State {
        var last: (answer: Answer, time: ContinuousClock.Instant)?
        var isCollecting = false
    }

    /// A report younger than this is answered again.
    private static let freshness = Duration.seconds(1)

    /// Longer than a collection ever takes.
    private static let waitLimit = DispatchTimeInterval.seconds(5)

    private let collector: ReportCollector
    private let gpu: @Sendable () -> GPUStatus
    private let willCollect: @Sendable () -> Void
    private let inFlight: @Sendable () -> Int
    private let state = Mutex(State())
    private let collection = DispatchGroup()

    /// - Parameters:
    ///   - gpu: the newest GPU state; must not wait.
    ///   - willCollect: called ahead of a collection, so that what it sets off is seen in the next one, if not in this.
    ///   - inFlight: completions that run.
    public init(
        collector: ReportCollector, gpu: @escaping @Sendable () -> GPUStatus,
        willCollect: @escaping @Sendable () -> Void = {}, inFlight: @escaping @Sendable () -> Int
    ) {
        self.collector = collector
        self.gpu = gpu
        self.willCollect = willCollect
        self.inFlight = inFlight
    }

    /// 200 with the report, 503 when the engine or the GPU state is unknown.
    ///
    /// One caller collects. The others get the report before, so that a hanging engine never holds more than one
    /// thread; only when there is none yet they wait for the first.
    func answer() -> (head: HTTPResponseHead, body: [UInt8]) {
        if isMineToCollect() { collect() }
        // Empty, and so over at once, unless the first collection is under way.
        if state.withLock({ $0.last == nil }) { _ = collection.wait(timeout: .now() + Self.waitLimit) }
        return state.withLock { $0.last?.answer } ?? Refusal.gpuUnknown.response
    }

    private func isMineToCollect() -> Bool {
        state.withLock { state in
            if state.isCollecting { return false }
            if let last = state.last, ContinuousClock.now - last.time < Self.freshness { return false }
            state.isCollecting = true
            collection.enter()
            return true
        }
    }

    private func collect() {
        willCollect()
        let report = collector.collect(gpu, inFlight: inFlight())
        let answer = JSONAnswer.make(status: report.errors == nil ? 200 : 503, report)
        state.withLock { state in
            state.last = (answer, .now)
            state.isCollecting = false
        }
        collection.leave()
    }
}
