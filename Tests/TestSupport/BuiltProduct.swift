import Foundation

/// Executables of this package, as built beside the running tests.
public enum BuiltProduct {
    /// The path of an executable product.
    ///
    /// `swift test` builds all products into the directory of the test bundle it then runs.
    /// - Throws: `NotBuilt` when the executable does not exist.
    public static func path(_ name: String) throws -> String {
        let directory = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let path = directory.appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else { throw NotBuilt(path: path) }
        return path
    }

    /// An executable that should be there and is not.
    public struct NotBuilt: Error, CustomStringConvertible {
        let path: String

        public var description: String { "\(path) is missing; swift build --build-tests makes it" }
    }
}

/// The repository that the tests were built from.
public enum Repository {
    /// Its top directory.
    public static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// Reads one of its files.
    public static func read(_ path: String) throws -> String {
        try String(contentsOfFile: root + "/" + path, encoding: .utf8)
    }
}
