import Synchronization
import TestSupport

@testable import ProviderHandlers

/// A feed that runs, and what it has said.
final class FeedFixture: Sendable {
    /// Quick, and so patient that no slow machine makes a child look silent.
    static let patient = NVMLFeed.Timing(
        interval: .milliseconds(5), startLimit: .seconds(600), silenceLimit: .seconds(600), pause: .milliseconds(1),
        longestPause: .milliseconds(5), missingPause: .milliseconds(5))
    /// With as much time to begin as ever: what is short is how long it may be silent afterwards.
    static let impatient = {
        var timing = patient
        timing.silenceLimit = .milliseconds(500)
        return timing
    }()

    private let feed: NVMLFeed
    /// Kept while the child reads it.
    private let fake: FakeNVML?
    private let recorded = Words()

    /// A feed of the built worker's child, with the fake library in place of NVIDIA's.
    convenience init(_ fake: FakeNVML, timing: NVMLFeed.Timing = patient) throws {
        try self.init(
            program: BuiltProduct.path("provider-fcgi"), environment: fake.environment, timing: timing, fake: fake)
    }

    init(
        program: String, environment: [String: String], timing: NVMLFeed.Timing = patient, fake: FakeNVML? = nil
    ) throws {
        self.fake = fake
        feed = NVMLFeed(program: program, environment: environment, timing: timing)
        try feed.start { [recorded] in recorded.add($0) }
    }

    deinit {
        stop()
    }

    func stop() {
        feed.stop()
    }

    var words: [NVMLMessage] { recorded.all }

    /// The newest word that is as wanted, once there is one; `alive` only where it is asked for, as it says nothing new.
    @discardableResult
    func word(_ what: String, _ isWanted: (NVMLMessage) -> Bool = { $0 != .alive }) async throws -> NVMLMessage {
        var found: NVMLMessage?
        try await eventually(what) {
            found = words.last(where: isWanted)
            return found != nil
        }
        return found ?? .failure("")
    }

    /// The newest sample that is as wanted.
    func sample(_ what: String = "a sample", _ isWanted: (GPUSample) -> Bool = { _ in true }) async throws -> GPUSample
    {
        let word = try await word(what) { word in
            if case .sample(let sample) = word { isWanted(sample) } else { false }
        }
        guard case .sample(let sample) = word else { throw NeverHappened(description: what) }
        return sample
    }
}

private final class Words: Sendable {
    private let words = Mutex<[NVMLMessage]>([])

    var all: [NVMLMessage] { words.withLock { $0 } }

    func add(_ word: NVMLMessage) { words.withLock { $0.append(word) } }
}
