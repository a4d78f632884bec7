public import Foundation

/// What `make test-asan` and `make test-tsan` build everything with, the programs that tests start included.
public enum Sanitizer: String, Sendable {
    case address = "AddressSanitizer"
    case thread = "ThreadSanitizer"

    /// The sanitizer of this process.
    public static let current: Sanitizer? = {
        // Each sanitizer has its own functions.
        if dlsym(nil, "__asan_init") != nil { return .address }
        return dlsym(nil, "__tsan_init") != nil ? .thread : nil
    }()

    /// The factor by which tests wait longer than usual before they give up: a sanitizer slows all programs down several
    /// times.
    public static let slowness = current == nil ? 1 : 10

    /// Why nothing can be said of how much memory a program takes; nil without a sanitizer.
    public static let memoryObstacle = current.map {
        "\($0.rawValue) takes several times the memory of the program"
    }

    /// Put into a child's environment, so that it reports as scripts/test-sanitized says.
    static let variables = ProcessInfo.processInfo.environment.filter {
        ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "SWIFT_BACKTRACE"].contains($0.key)
    }
}

extension Duration {
    /// How long a test waits for what has to come. It only ends tests that have failed already: the slowest machine needs far
    /// less.
    public static let patience = Duration.seconds(60 * Sanitizer.slowness)
}

extension DispatchTime {
    /// The same, from now on.
    public static var patience: DispatchTime { .now() + .seconds(60 * Sanitizer.slowness) }
}

extension timeval {
    /// The same, for a socket.
    static let patience = timeval(tv_sec: 60 * Sanitizer.slowness, tv_usec: 0)
}
