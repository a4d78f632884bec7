import Testing

@testable import ProviderHandlers

struct DurationTests {
    /// poll(2) waits forever when the time is negative, as for a rest that passed while the thread did not run.
    @Test(
        "the time for poll: at least as long, never without a limit",
        arguments: [
            (.milliseconds(-6), 0), (.nanoseconds(-1), 0), (.seconds(-3600), 0), (.zero, 0), (.nanoseconds(1), 1),
            (.milliseconds(5), 6), (.microseconds(5999), 6), (.seconds(1_000_000_000), CInt.max),
        ] as [(Duration, CInt)])
    func pollMilliseconds(_ rest: Duration, _ expected: CInt) {
        #expect(rest.pollMilliseconds == expected)
    }
}
