import TestSupport
import Testing

extension TimeLimitTrait.Duration {
    /// For a whole test of what might hang; it only ends one that has failed already.
    static let patience = minutes(2 * Sanitizer.slowness)
}
