import TestSupport

/// A library of Tests/Fakes that the dynamic linker puts before the system's.
struct Preload: Sendable {
    private let directory: TemporaryDirectory

    /// Swift's toolchain brings one, or links with the system's.
    private static let compiler = ["clang", "cc", "gcc"].compactMap { Tool.path($0) }.first

    static var obstacle: String? { compiler == nil ? "a C compiler is missing" : nil }

    /// - Parameter source: its name in Tests/Fakes.
    init(_ source: String) async throws {
        directory = try TemporaryDirectory()
        let build = try ChildProcess(
            Self.compiler ?? "cc",
            ["-shared", "-fPIC", "-o", path, "\(Repository.root)/Tests/Fakes/\(source)"])
        guard try await build.waitForExit() == .status(0) else {
            throw NeverHappened(description: "\(source) is not built: \(build.standardError)")
        }
    }

    var path: String { directory.path + "/preload.so" }
}
