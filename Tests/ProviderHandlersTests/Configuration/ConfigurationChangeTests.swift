import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("Configuration: change while running")
struct ConfigurationChangeTests {
    private static let fixed = [
        "server.socket", "server.socket_group", "server.host", "server.port", "server.allow_remote",
        "server.scoreboard",
        "gpu.source", "gpu.nvidia_smi", "gpu.nvidia_smi_timeout", "gpu.devices", "gpu.sample_interval",
        "gpu.max_sample_age",
    ]

    /// Each key by itself, so that none is forgotten.
    @Test(arguments: settings)
    func takesEveryKeyButFixedKeys(setting: Setting) {
        let change = ConfigurationChange(from: Configuration(), to: setting.changed)
        if Self.fixed.contains(setting.key) {
            #expect(change.configuration == Configuration())
            #expect(change.changed == [])
            #expect(change.kept == [setting.key])
        } else {
            #expect(change.configuration == setting.changed)
            #expect(change.changed == [setting.key])
            #expect(change.kept == [])
        }
    }

    @Test func nothing() {
        let change = ConfigurationChange(from: Configuration(), to: Configuration())
        #expect(change.changed == [])
        #expect(change.kept == [])
    }

    @Test func theKeptStayKept() {
        var next = Configuration()
        next.server.port = 9001
        next.gpu.busyThreshold = 30
        let first = ConfigurationChange(from: Configuration(), to: next)
        let second = ConfigurationChange(from: first.configuration, to: next)
        #expect(second.configuration.server.port == 9000)
        #expect(second.configuration.gpu.busyThreshold == 30)
        #expect(second.changed == [])
        #expect(second.kept == ["server.port"])
    }
}
