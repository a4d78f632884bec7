import Testing

@testable import ProviderHandlers

@Suite("Handoff's receiver")
struct HandoffReceiverTests {
    @Test("a socket that can no longer be read ends it, with a line in the log", .timeLimit(.patience))
    func lastingError() async {
        let log = RecordingLog()
        let receiver = HandoffReceiver(
            directory: "/run/example", recorder: RequestRecorder(.private), logger: log.logger)
        receiver.receive(from: -1)
        #expect(log.count(containing: "/run/example/handoff.sock: Bad file descriptor") == 1)
    }
}
