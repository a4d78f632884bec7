import TestSupport
import Testing

extension TimeLimitTrait.Duration {
    /// For a whole test of code that might hang; it only ends a failed test.
    static let patience = minutes(2 * Sanitizer.slowness)
}
