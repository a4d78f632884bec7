/// The first thing that is wrong with the configuration, as one message for the operator.
///
/// The message reads `PLACE: KEY: PROBLEM`, where the place is `file:line` or an environment variable and the problem
/// mostly `expected …, found …`. It never holds the value of a secret.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let description: String

    /// EX_CONFIG (sysexits(3)).
    public static let exitStatus: Int32 = 78

    /// - Parameter description: the whole message.
    public init(description: String) {
        self.description = description
    }

    init(_ place: String, _ key: String?, _ problem: String) {
        description = [place, key, problem].compactMap(\.self).joined(separator: ": ")
    }
}
