import TestSupport
import Testing

@testable import ProviderHandlers

/// What is counted, and how it is read.
@Suite struct ScoreboardCountsTests {
    /// The tests have a Counter of their own.
    private typealias Counter = ProviderHandlers.Counter

    let directory: TemporaryDirectory
    let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/scoreboard"
    }

    @Test func sumsOfAllWorkers() throws {
        let reader = Scoreboard(path, "reader")
        for round in 1...3 {
            let board = Scoreboard(path, "round \(round)")
            board.record { mirror in
                mirror.count(.requests(.chatCompletions, status: 200, code: ""))
                mirror.count(.requests(.chatCompletions, status: 503, code: "too_many_requests_in_flight"), by: 2)
                mirror.count(.responseBytes(.chatCompletions), by: 100)
                mirror.count(.clientDisconnects)
                mirror.count(.streamsCut(code: "engine_timeout"))
                mirror.observe(.chatCompletion, 30_000_000)
                mirror.observe(.validHMAC, 20_000_000_000)
            }
            #expect(reader.totals().workers.map(\.name).sorted() == ["reader", "round \(round)"])
        }
        let totals = reader.totals()
        let counters: [Counter: UInt64] = [
            .requests(.chatCompletions, status: 200, code: ""): 3,
            .requests(.chatCompletions, status: 503, code: "too_many_requests_in_flight"): 6,
            .responseBytes(.chatCompletions): 300, .clientDisconnects: 3, .streamsCut(code: "engine_timeout"): 3,
        ]
        #expect(totals.counters == counters)
        #expect(totals.recentCounters == counters)
        let durations = try #require(totals.timings[.chatCompletion])
        #expect(durations.buckets[2] == 3)
        #expect((durations.count, durations.sum) == (3, 90_000_000))
        #expect(totals.recentTimings[.chatCompletion]?.buckets == durations.buckets)
        let validations = try #require(totals.timings[.validHMAC])
        #expect((validations.buckets.last, validations.sum) == (3, 60_000_000_000))
        #expect(totals.timings[.completion]?.count == 0)
    }

    @Test func aBucketHoldsItsUpperBound() {
        for timing in Timing.allCases {
            #expect(timing.bounds == timing.bounds.sorted())
            #expect(timing.bounds.count < Histogram.maxBuckets)
            #expect(timing.bucket(of: 0) == 0)
            for (index, bound) in timing.bounds.enumerated() {
                #expect(timing.bucket(of: bound) == index)
                #expect(timing.bucket(of: bound + 1) == index + 1)
            }
        }
    }

    @Test func quantiles() {
        var histogram = Histogram(.chatCompletion)
        #expect(histogram.quantile(0.5, .chatCompletion) == nil)
        // 10 up to 0.01 s, 10 up to 0.05 s.
        (histogram.buckets[0], histogram.buckets[2]) = (10, 10)
        #expect(histogram.quantile(0.25, .chatCompletion) == 0.005)
        #expect(histogram.quantile(0.5, .chatCompletion) == 0.01)
        #expect(abs(histogram.quantile(0.75, .chatCompletion)! - 0.0375) < 1e-9)
        #expect(histogram.quantile(1, .chatCompletion) == 0.05)
        histogram.buckets[15] = 80
        #expect(histogram.quantile(0.95, .chatCompletion) == 600)
    }

    @Test func theLayoutHasRoom() {
        typealias Layout = ScoreboardLayout
        #expect(Layout.Slot.intervals + Layout.Interval.limit * Layout.Interval.words <= Layout.Slot.words)
        #expect(Layout.Head.gpuTimes + GPUCondition.allCases.count <= Layout.Head.words)
        // Fifteen whole minutes and the present one.
        #expect(Layout.Interval.limit == ScoreboardTotals.recentMinutes + 1)
    }

    @Test func moreOutcomesThanThereIsRoomFor() {
        let board = Scoreboard(path)
        for status in 200..<400 { board.record { $0.count(.requests(.completions, status: status, code: "")) } }
        let counters = board.totals().counters
        #expect(counters.count == 96)
        #expect(counters[.overflow] == 105)
        #expect(board.requests == 200)
        // A successor has the same table.
        #expect(Scoreboard(path).totals().counters == counters)
    }

    @Test func theLastCompletions() {
        let (first, second) = (Scoreboard(path), Scoreboard(path))
        func completion(_ number: UInt64) -> Completion {
            Completion(
                time: number, endpoint: .completions, status: 502, code: "engine_unreachable", milliseconds: number * 2,
                bytes: number * 3)
        }
        for number in 1...100 {
            (number % 2 == 0 ? first : second).record { $0.keep(completion(UInt64(number))) }
        }
        for board in [first, second, Scoreboard(path)] {
            #expect(board.totals().completions == (51...100).reversed().map(completion))
        }
    }

    /// However many workers watch the GPUs, their time passes once.
    @Test func theTimeOfTheGPUsStates() throws {
        let start = SampleUse.now()
        let boards = [Scoreboard(path), Scoreboard(path)]
        for round in 0..<10 {
            boards[0].pass(.idle)
            boards[1].pass(round % 2 == 0 ? .busy : .unknown)
        }
        let times = boards[0].totals().gpuTimes
        let total = times.values.reduce(0, +)
        #expect(total > 0 && total <= SampleUse.now() - start)
        #expect(times[.busy]! > 0 && times[.unknown]! > 0 && times[.none] == 0)
    }

    @Test func timeWithoutAWorkerIsNotCounted() async throws {
        do { Scoreboard(path).pass(.busy) }
        let before = Scoreboard(path).totals().gpuTimes[.busy]!
        try await Task.sleep(for: .milliseconds(50))
        let board = Scoreboard(path)
        board.pass(.busy)
        let after = board.totals().gpuTimes[.busy]!
        #expect(after >= before && after < before + 50_000_000)
    }
}
