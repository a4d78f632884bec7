import Dispatch
public import Logging

/// Responds to GET /health. The engine's list and the public URLs are collected at most once a second; the GPU state is
/// always current.
public final class HealthCheck: Sendable {
    private typealias Parts = ReportCollector.Parts

    private struct State {
        var last: (parts: Parts, time: ContinuousClock.Instant)?
        var isCollecting = false
        var waiting = 0
        /// Why the last collection got no list from the engine, as logged.
        var trouble: NoModelList.Kind?
    }

    /// For the engine's list and the tunnels together: a response takes 5 s at most.
    private static let collectionLimit = Duration.milliseconds(4750)
    /// A tunnel's program is on this machine and responds at once.
    private static let tunnelLimit = Duration.seconds(1)
    /// Longer than a collection takes.
    private static let waitLimit = DispatchTimeInterval.seconds(5)
    /// Each waiting request holds one of the few threads that completions leave free.
    private static let maxWaiting = 4

    private let collector: ReportCollector
    private let gpu: @Sendable () -> GPUStatus
    private let isGPUBusy: @Sendable () -> Bool
    private let willCollect: @Sendable () -> Void
    private let freshness: Duration
    private let maxAge: Duration
    private let logger: Logger
    private let state = Locked(State())
    private let collection = DispatchGroup()

    /// - Parameters:
    ///   - gpu: the newest GPU state; must not wait.
    ///   - isGPUBusy: whether the GPUs count as busy, as `/busy` would say; must not wait.
    ///   - willCollect: called before a collection; the next collection sees its effects, if this one does not.
    public convenience init(
        collector: ReportCollector, gpu: @escaping @Sendable () -> GPUStatus,
        isGPUBusy: @escaping @Sendable () -> Bool, willCollect: @escaping @Sendable () -> Void = {}, logger: Logger
    ) {
        self.init(
            collector: collector, gpu: gpu, isGPUBusy: isGPUBusy, willCollect: willCollect,
            freshness: .seconds(1), maxAge: .seconds(5), logger: logger)
    }

    /// - Parameters:
    ///   - freshness: younger parts are used again.
    ///   - maxAge: older parts are not used, even while new parts are being collected.
    init(
        collector: ReportCollector, gpu: @escaping @Sendable () -> GPUStatus,
        isGPUBusy: @escaping @Sendable () -> Bool, willCollect: @escaping @Sendable () -> Void = {},
        freshness: Duration, maxAge: Duration, logger: Logger
    ) {
        self.collector = collector
        self.gpu = gpu
        self.isGPUBusy = isGPUBusy
        self.willCollect = willCollect
        self.freshness = freshness
        self.maxAge = maxAge
        self.logger = logger
    }

    /// 200 with the report, 503 when the engine gives no list or the GPU state is unknown; after 5 s at the latest.
    ///
    /// One caller collects. Other requests get the previous parts, if these are young enough. Otherwise a few wait for the
    /// new parts, and the rest are told that the engine is still being asked.
    func response() -> HTTPResponse {
        let parts = parts()
        // Read after the wait for the parts, so that the GPU state is current.
        let report = collector.report(parts, .init(status: gpu(), isBusy: isGPUBusy()))
        return JSONResponse.make(status: report.errors == nil ? 200 : 503, report)
    }

    /// Collects the parts again, unless they are younger than `age`. Blocks as a request does.
    func refresh(after age: Duration) {
        let isYoung = state.withLock { state in state.last.map { ContinuousClock.now - $0.time < age } ?? false }
        if !isYoung, isMineToCollect() { _ = collect() }
    }

    /// What the newest collection found, and how long ago; nil before the first.
    var latest: (parts: ReportCollector.Parts, age: Duration)? {
        state.withLock { state in state.last.map { ($0.parts, ContinuousClock.now - $0.time) } }
    }

    private func parts() -> Parts {
        if isMineToCollect() { return collect() }
        if let parts = recentParts() { return parts }
        if startWaiting() {
            _ = collection.wait(timeout: .now() + Self.waitLimit)
            state.withLock { $0.waiting -= 1 }
            if let parts = recentParts() { return parts }
        }
        return collector.partsKnown
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

    private func recentParts() -> Parts? {
        state.withLock { state in
            guard let last = state.last, ContinuousClock.now - last.time < maxAge else { return nil }
            return last.parts
        }
    }

    private func startWaiting() -> Bool {
        state.withLock { state in
            guard state.waiting < Self.maxWaiting else { return false }
            state.waiting += 1
            return true
        }
    }

    private func collect() -> Parts {
        willCollect()
        let deadline = ContinuousClock.now + Self.collectionLimit
        let urls = collector.urls(within: Self.tunnelLimit)
        let models: Result<[Model], NoModelList>
        do throws(NoModelList) {
            models = .success(try collector.models(within: deadline - .now))
        } catch {
            models = .failure(error)
        }
        let parts = Parts(models: models, urls: urls)
        let trouble = state.withLock { state in
            defer { state.trouble = parts.trouble?.kind }
            state.last = (parts, .now)
            state.isCollecting = false
            return state.trouble
        }
        collection.leave()
        log(parts.trouble, after: trouble)
        return parts
    }

    /// Logs why there is no list when the reason changes, and when there is a list again.
    private func log(_ trouble: NoModelList?, after last: NoModelList.Kind?) {
        guard trouble?.kind != last else { return }
        if let trouble {
            logger.warning("engine: \(trouble)")
        } else {
            logger.info("engine: lists its models again")
        }
    }
}

extension ReportCollector.Parts {
    fileprivate var trouble: NoModelList? {
        if case .failure(let cause) = models { cause } else { nil }
    }
}
