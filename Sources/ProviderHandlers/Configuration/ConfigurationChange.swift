/// The way from one configuration to the next while the worker runs.
public struct ConfigurationChange: Sendable {
    /// What holds from now on: the next configuration, but where the worker listens stays as it is.
    public let configuration: Configuration
    /// Keys whose values have changed, such as `gpu.busy_threshold`; never their values, one of which is a secret.
    public let changed: [String]
    /// Keys whose new values have to wait for a restart.
    public let kept: [String]

    public init(from running: Configuration, to next: Configuration) {
        let differing = ConfigurationSchema.keys.filter { $0.differs(running, next) }
        var configuration = next
        for key in differing where key.isFixed { key.copy(from: running, to: &configuration) }
        self.configuration = configuration
        changed = differing.filter { !$0.isFixed }.map(\.path)
        kept = differing.filter(\.isFixed).map(\.path)
    }
}
