import Foundation

/// A libnvidia-ml.so.1 in a directory of its own that answers what a test says (Tests/FakeNVML/nvml.c).
public final class FakeNVML: Sendable {
    public let directory: TemporaryDirectory

    /// - Parameter answers: what it says, a `key value` a line; nil leaves the library out.
    public init(_ answers: String? = "") throws {
        directory = try TemporaryDirectory()
        if let answers {
            try set(answers)
            try install()
        }
    }

    /// The variables with which a program finds it, and no other.
    public var environment: [String: String] {
        // A crash has to look like one with a sanitizer too, and leaks are looked for elsewhere.
        Sanitizer.variablesOfOneThatCrashes.merging(["LD_LIBRARY_PATH": directory.path, "FAKE_NVML": script]) { $1 }
    }

    /// Changes what the next calls answer.
    public func set(_ answers: String) throws {
        try directory.write(answers + "\n", to: "answers")
    }

    /// - Parameter library: what takes its place; nil for the fake one itself.
    public func install(_ library: String? = nil) throws {
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: library ?? BuiltProduct.path("libFakeNVML.so"))
    }

    public func remove() throws {
        try FileManager.default.removeItem(atPath: link)
    }

    /// How many samples have begun.
    public var samples: Int { size("samples") }

    /// How often it has been initialized.
    public var starts: Int { size("starts") }

    private var script: String { directory.path + "/answers" }
    private var link: String { directory.path + "/libnvidia-ml.so.1" }

    private func size(_ suffix: String) -> Int {
        FileManager.default.contents(atPath: "\(script).\(suffix)")?.count ?? 0
    }
}
