import Foundation

/// A condition that never came true.
public struct NeverHappened: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) {
        self.description = description
    }
}

/// Waits until `condition` holds; for what another process or thread brings about.
public func eventually(
    _ what: String, within limit: Duration = .patience, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "never happened: \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// The same for code that blocks its own thread (`onThread`, scripts).
///
/// - Parameter detail: put behind the error's words.
public func waitUntil(_ what: String, detail: () -> String = { "" }, _ condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + .patience
    while try !condition() {
        guard ContinuousClock.now < deadline else {
            throw NeverHappened(description: "never happened: \(what)\(detail())")
        }
        usleep(2000)
    }
}
