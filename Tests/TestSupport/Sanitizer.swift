public import Foundation

/// What `make test-asan` and `make test-tsan` build everything with, the programs that tests start included.
public enum Sanitizer: String, Sendable {
    case address = "AddressSanitizer"
    case thread = "ThreadSanitizer"

    /// The one that this process runs with.
    public static let current: Sanitizer? = {
        // Each brings its own functions along, and nobody else has them.
        if dlsym(nil, "__asan_init") != nil { return .address }
        return dlsym(nil, "__tsan_init") != nil ? .thread : nil
    }()

    /// How many times longer than usual a test waits before it gives up: a sanitizer slows all programs down several times,
    /// and the machine has the same few processors for them.
    public static let slowness = current == nil ? 1 : 10

    /// Why nothing can be said of how much memory a program takes; nil without a sanitizer.
    public static let memoryObstacle = current.map {
        "\($0.rawValue) takes memory of its own, several times that of the program"
    }

    /// Put into a child's environment, so that it reports as scripts/test-sanitized says.
    static let variables = ProcessInfo.processInfo.environment.filter {
        ["ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "SWIFT_BACKTRACE"].contains($0.key)
    }
}

extension Duration {
    /// How long a test waits for what has to come. It only ends one that has failed already: it is far above what the
    /// slowest machine needs.
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
