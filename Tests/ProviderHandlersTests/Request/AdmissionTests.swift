import Dispatch
import Synchronization
import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct AdmissionTests {
    @Test func neverMoreThanTheLimitAtOnce() {
        let admission = Admission(limit: 3, perSample: 0, scoreboard: .private) { (.idle, nil) }
        let most = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 5000) { _ in
            do throws(Interrupted) {
                try admission.withPlace { _ in
                    let inFlight = admission.inFlight
                    most.withLock { $0 = max($0, inFlight) }
                }
            } catch {
                #expect(error == .refused(.tooManyInFlight(limit: 3)))
            }
        }
        #expect((1...3).contains(most.withLock { $0 }))
        #expect(admission.inFlight == 0)
    }

    @Test func anotherLimitHoldsForTheNext() throws {
        let admission = Admission(limit: 1, perSample: 0, scoreboard: .private) { (.idle, nil) }
        try admission.withPlace { _ throws(Interrupted) in
            #expect(admission.refusal == .tooManyInFlight(limit: 1))
            admission.change(limit: 2, perSample: 0)
            #expect(admission.refusal == nil)
            try admission.withPlace { _ throws(Interrupted) in
                admission.change(limit: 1, perSample: 0)
                #expect(admission.inFlight == 2)
                #expect(admission.refusal == .tooManyInFlight(limit: 1))
            }
            #expect(admission.refusal == .tooManyInFlight(limit: 1))
        }
        #expect(admission.refusal == nil)
    }

    @Test func aGPUThatTellsNothingTakesOneAtATime() throws {
        let admission = Admission(limit: 64, perSample: 0, scoreboard: .private) { (.unreadable, nil) }
        #expect(admission.refusal == nil)
        try admission.withPlace { _ throws(Interrupted) in
            #expect(admission.refusal == .gpuBusy)
            #expect(throws: Interrupted.refused(.gpuBusy)) {
                try admission.withPlace { _ throws(Interrupted) in Issue.record("let in a second one") }
            }
        }
        #expect(admission.refusal == nil)
    }

    @Test func aPlaceIsGivenBackWhateverHappens() {
        let admission = Admission(limit: 1, perSample: 0, scoreboard: .private) { (.idle, nil) }
        #expect(throws: Interrupted.clientGone) {
            try admission.withPlace { _ throws(Interrupted) in throw .clientGone }
        }
        #expect(admission.inFlight == 0)
    }

    @Test func cuttingReachesRunningAndStartingRequests() throws {
        let admission = Admission(limit: 2, perSample: 0, scoreboard: .private) { (.idle, nil) }
        try admission.withPlace { cancellation throws(Interrupted) in
            #expect(!cancellation.isCancelled)
            admission.cutAll()
            #expect(cancellation.isCancelled)
        }
        try admission.withPlace { cancellation throws(Interrupted) in #expect(cancellation.isCancelled) }
    }

    @Test(arguments: [
        (BusyVerdict.idle, #"{"busy":false}"#), (.unreadable, #"{"busy":false}"#),
        (.busy, #"{"busy":true,"reason":"gpu_busy"}"#), (.unknown("x"), #"{"busy":true,"reason":"gpu_unknown"}"#),
    ])
    func busyPredictsTheNextCompletion(verdict: BusyVerdict, expected: String) async throws {
        try await onThread {
            let fixture = try PipelineFixture(gpu: verdict)
            let response = fixture.handle(.get("/busy"))
            #expect(response.status == 200)
            #expect(response.text == expected)
            #expect(fixture.complete().status == (expected.contains("true") ? 503 : 200))
            let head = fixture.handle(.get("/busy", method: "HEAD"))
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.header("Content-Length") == String(expected.utf8.count))
        }
    }

    @Test func busyAlsoAtTheLimit() async throws {
        try await onThread {
            let fixture = try PipelineFixture(configure: { $0.server.maxInFlight = 1 })
            try fixture.admission.withPlace { _ in
                let response = fixture.handle(.get("/busy"))
                #expect(response.text == #"{"busy":true,"reason":"too_many_requests_in_flight"}"#)
            }
        }
    }

    /// A burst between two samples: the limit gets in, and the same number again with the next sample.
    @Test func eachSampleAdmitsALimitedNumber() {
        let sample = Mutex<UInt64>(1)
        let admission = Admission(limit: 64, perSample: 3, scoreboard: .private) {
            (.idle, .init(number: sample.withLock { $0 }))
        }
        for _ in 0..<2 {
            let letIn = Mutex(0)
            #expect(admission.refusal == nil)
            DispatchQueue.concurrentPerform(iterations: 100) { _ in
                do throws(Interrupted) {
                    try admission.withPlace { _ in letIn.withLock { $0 += 1 } }
                } catch {
                    #expect(error == .refused(.gpuBusy))
                }
            }
            #expect(letIn.withLock { $0 } == 3)
            #expect(admission.refusal == .gpuBusy)
            sample.withLock { $0 += 1 }
        }
        #expect(admission.refusal == nil)
    }

    @Test func anOutdatedReadingAdmitsNoMore() throws {
        let sample = Mutex<UInt64>(7)
        let admission = Admission(limit: 64, perSample: 1, scoreboard: .private) {
            (.idle, .init(number: sample.withLock { $0 }))
        }
        try admission.withPlace { _ in }
        sample.withLock { $0 = 6 }
        #expect(admission.refusal == .gpuBusy)
        sample.withLock { $0 = 8 }
        #expect(admission.refusal == nil)
    }

    /// What `/health` reports: the GPU's reasons and no other.
    @Test func theGPUsPart() throws {
        let verdict = Mutex(BusyVerdict.idle)
        let admission = Admission(limit: 1, perSample: 0, scoreboard: .private) { (verdict.withLock { $0 }, nil) }
        func isBusy(_ next: BusyVerdict) -> Bool {
            verdict.withLock { $0 = next }
            return admission.isGPUBusy
        }
        #expect([.idle, .busy, .unknown("x"), .unreadable].map(isBusy) == [false, true, true, false])
        verdict.withLock { $0 = .idle }
        try admission.withPlace { _ throws(Interrupted) in
            #expect(admission.refusal == .tooManyInFlight(limit: 1))
            #expect([.idle, .busy, .unknown("x"), .unreadable].map(isBusy) == [false, true, true, true])
        }
        let used = Admission(limit: 1, perSample: 1, scoreboard: .private) { (.idle, .init(number: 1)) }
        #expect(!used.isGPUBusy)
        // Also where the limit would be the first to be said.
        try used.withPlace { _ in #expect(used.isGPUBusy) }
        #expect(used.isGPUBusy)
    }

    /// NVML is read more often than the driver renews its counters: a read is no new sample.
    @Test func aSampleHasToShowTheAdmittedCompletions() throws {
        let start = ContinuousClock.now
        let clock = Mutex(start)
        let sample = Mutex(GPULook(number: 1, shows: start - .milliseconds(200)))
        let admission = Admission(
            limit: 64, perSample: 2, scoreboard: .private, now: { clock.withLock { $0 } },
            gpu: { (.idle, sample.withLock { $0 }) })
        func pass(_ milliseconds: Int, word: Int, _ number: UInt64) {
            clock.withLock { $0 = start + .milliseconds(milliseconds) }
            sample.withLock { $0 = .init(number: number, shows: start + .milliseconds(word - 200)) }
        }
        try admission.withPlace { _ in }
        pass(100, word: 100, 3)
        #expect(admission.refusal == nil)
        try admission.withPlace { _ in }
        // Two are in, the last at 100 ms: samples before 300 ms admit no request, however many they are.
        for (number, word) in [150, 200, 250, 299].enumerated() {
            pass(word, word: word, UInt64(number + 4))
            #expect(admission.refusal == .gpuBusy)
        }
        // Time alone admits no request: NVML may hang.
        pass(5000, word: 299, 8)
        #expect(admission.refusal == .gpuBusy)
        pass(5000, word: 300, 9)
        #expect(admission.refusal == nil)
        try admission.withPlace { _ in }
        // Each run of nvidia-smi is a separate look.
        sample.withLock { $0 = .init(number: 9) }
        try admission.withPlace { _ in }
        #expect(admission.refusal == .gpuBusy)
        sample.withLock { $0 = .init(number: 10) }
        #expect(admission.refusal == nil)
    }

    /// No limit, no samples, or another reason first.
    @Test func whereSamplesLimitNothing() throws {
        for admission in [
            Admission(limit: 64, perSample: 0, scoreboard: .private) { (.idle, .init(number: 1)) },
            Admission(limit: 64, perSample: 1, scoreboard: .private) { (.idle, nil) },
        ] {
            for _ in 0..<10 { try admission.withPlace { _ in } }
            #expect(admission.refusal == nil)
        }
        let full = Admission(limit: 1, perSample: 1, scoreboard: .private) { (.idle, .init(number: 1)) }
        try full.withPlace { _ in #expect(full.refusal == .tooManyInFlight(limit: 1)) }
        let unknown = Admission(limit: 1, perSample: 1, scoreboard: .private) { (.unknown("why"), nil) }
        #expect(unknown.refusal == .gpuUnknown)
    }
}
