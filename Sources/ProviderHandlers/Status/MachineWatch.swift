import FoundationEssentials
import Glibc
public import Logging

/// Looks after the state of the machine from time to time, and tells it for `/metrics` and `/status.json`.
///
/// Its thread sees to the scoreboard's file, counts the time in each GPU state, and keeps the GPUs' history. While somebody watches
/// the status it also asks the engine for its list, so that the list is at most `engineMaxAge` old. A machine that nobody
/// watches does not ask its engine.
public final class MachineWatch: Sendable {
    /// Between two looks: a point of the history each.
    private static let interval = Duration.seconds(Double(GPUHistory.interval))
    /// The engine's list is asked for again once it is this old: with `interval` and a slow engine it stays below `engineMaxAge`.
    private static let engineInterval = Duration.seconds(5)
    private static let engineMaxAge = Duration.seconds(15)
    /// Somebody who asked for the status this long ago has stopped watching.
    private static let watchedLimit = Duration.seconds(120)

    private struct Subject {
        var configuration: Configuration
        var health: HealthCheck
    }

    private let scoreboard: Scoreboard
    private let admission: Admission
    private let sampler: GPUSampler
    private let logger: Logger
    private let subject: Locked<Subject?>
    private let lastAsked = Locked<ContinuousClock.Instant?>(nil)
    private let history = GPUHistory()
    private let pause = Pause()

    public init(scoreboard: Scoreboard, admission: Admission, sampler: GPUSampler, logger: Logger) {
        self.scoreboard = scoreboard
        self.admission = admission
        self.sampler = sampler
        self.logger = logger
        subject = Locked(nil)
    }

    /// Tells of another configuration from now on.
    public func change(to configuration: Configuration, health: HealthCheck) {
        subject.withLock { $0 = Subject(configuration: configuration, health: health) }
        pause.cut()
    }

    /// Starts the thread, once the first GPU sample had time to come.
    public func start() {
        do throws(Threads.Shortage) {
            try Threads.start { [self] in
                repeat { look() } while pause.wait(.zero, longest: Self.interval)
            }
        } catch {
            logger.warning("the machine's status is not kept up: no thread can be started: \(systemError(error.code))")
        }
    }

    /// Ends the thread, without waiting for it.
    public func stop() { pause.end() }

    private func look() {
        switch scoreboard.check() {
        case .lost(let text)?: logger.warning("\(text)")
        case .joined(let text)?: logger.notice("\(text)")
        case nil: break
        }
        guard let subject = subject.withLock({ $0 }) else { return }
        note(now(subject.configuration))
        let isWatched = lastAsked.withLock { $0.map { ContinuousClock.now - $0 < Self.watchedLimit } ?? false }
        if isWatched { subject.health.refresh(after: Self.engineInterval) }
    }

    private func note(_ now: AdmissionNow) {
        scoreboard.pass(now.condition)
        if case .known(let sample) = now.gpu { history.note(sample, at: time(nil)) }
    }

    /// What `systemctl status` shows: whether the next completion would be admitted, for the machine.
    public var summary: String {
        subject.withLock { $0?.configuration }.map { now($0).summary } ?? "starting"
    }

    private func now(_ configuration: Configuration) -> AdmissionNow {
        let gpu = sampler.status
        return AdmissionNow(
            configuration: configuration, gpu: gpu, condition: GPUCondition(gpu, configuration.gpu),
            refusal: admission.refusal, inFlight: admission.inFlightOnMachine)
    }

    /// The machine's state now, for a program that watches; nil before the first configuration. May take seconds where the
    /// engine has not been asked for a while.
    var watchedStatus: MachineStatus? {
        guard let subject = subject.withLock({ $0 }) else { return nil }
        lastAsked.withLock { $0 = .now }
        subject.health.refresh(after: Self.engineMaxAge)
        let now = now(subject.configuration)
        note(now)
        let latest = subject.health.latest
        return MachineStatus(
            time: Date(), totals: scoreboard.totals(), admission: now, sampleAge: sampler.sampleAge,
            engine: MachineStatus.EngineState(latest),
            report: ReportRecord.path(subject.configuration).flatMap { ReportRecord(path: $0) },
            publicURL: latest.flatMap { [$0.parts.urls.ngrok, $0.parts.urls.cloudflare ?? ""].first { !$0.isEmpty } },
            isShared: scoreboard.isShared, history: { [history] in history.points(of: $0, at: time(nil)) })
    }
}

extension GPUCondition {
    fileprivate init(_ status: GPUStatus, _ configuration: Configuration.GPU) {
        if case .absent = status {
            self = .none
            return
        }
        self =
            switch BusyRule.verdict(status, configuration) {
            case .idle: .idle
            case .busy: .busy
            case .unreadable: .unreadable
            case .unknown: .unknown
            }
    }
}

extension MachineStatus.EngineState {
    fileprivate init(_ latest: (parts: ReportCollector.Parts, age: Duration)?) {
        guard let latest else { return }
        checked = Date().addingTimeInterval(-latest.age.inSeconds)
        switch latest.parts.models {
        case .success(let list): (isUp, models) = (true, list.map(\.id))
        case .failure(let cause): (isUp, detail) = (false, "\(cause)")
        }
    }
}
