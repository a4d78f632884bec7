import Glibc
import Synchronization

/// A mapping of 64-bit words that several processes read and write; unmapped with its owner.
///
/// `@unchecked Sendable`: the pointer never leaves this type, and each access is atomic.
@safe final class SharedMemory: @unchecked Sendable {
    let count: Int
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let isMapped: Bool

    /// Zeros of this process alone.
    init(count: Int) {
        self.count = count
        isMapped = false
        unsafe words = .allocate(capacity: count)
        for index in 0..<count { unsafe (words + index).initialize(to: Atomic(0)) }
    }

    /// Maps a file that has that many words.
    init(descriptor: CInt, count: Int) throws(ScoreboardProblem) {
        let size = count * MemoryLayout<UInt64>.size
        let start = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let start = unsafe start, unsafe start != MAP_FAILED else {
            throw ScoreboardProblem("cannot be mapped: \(systemError(errno))")
        }
        guard BusErrors.survive(from: UInt(bitPattern: start), size: size) else {
            unsafe munmap(start, size)
            throw ScoreboardProblem("cannot be mapped: this process has too many scoreboards")
        }
        self.count = count
        isMapped = true
        // Atomic has the size, the alignment and the bits of its value (SE-0410).
        unsafe words = start.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    deinit {
        guard isMapped else {
            unsafe words.deinitialize(count: count)
            unsafe words.deallocate()
            return
        }
        unsafe BusErrors.forget(UInt(bitPattern: words))
        unsafe munmap(words, count * MemoryLayout<UInt64>.size)
    }

    func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index].load(ordering: .acquiring)
    }

    func store(_ index: Int, _ value: UInt64) {
        precondition(index >= 0 && index < count)
        unsafe words[index].store(value, ordering: .releasing)
    }

    /// Runs `body` with the lower half of a word, as futex(2) takes it.
    func withHalfWord<Result>(_ index: Int, _ body: (UnsafeMutablePointer<Atomic<UInt32>>) -> Result) -> Result {
        precondition(index >= 0 && index < count)
        return unsafe UnsafeMutableRawPointer(words + index)
            .withMemoryRebound(to: Atomic<UInt32>.self, capacity: 1) { unsafe body($0) }
    }
}
