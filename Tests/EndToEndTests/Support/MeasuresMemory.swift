import TestSupport
import Testing

extension Trait where Self == ConditionTrait {
    /// A test of how much memory a program takes, or of what it does with little: skipped with a sanitizer.
    static var measuresMemory: Self {
        .enabled(if: Sanitizer.memoryObstacle == nil, "\(Sanitizer.memoryObstacle ?? "")")
    }
}
