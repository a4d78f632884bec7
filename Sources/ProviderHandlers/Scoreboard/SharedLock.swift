import CGlibc
import Glibc
import Synchronization

/// A lock between processes that a killed owner does not keep. Within a process, one thread at a time may ask for it.
///
/// The word is 0, or has the owner's slot (its number and 1), whether others wait, and the generation of the slot. Without a
/// contender, taking and releasing it are one atomic operation each and no system call; others sleep in futex(2).
///
/// Why a death blocks nobody: a contender that has slept for `nap` asks whether the owner lives. It does not when its slot has
/// had another owner since, or when nobody holds the slot's file lock. The kernel releases that lock only after each
/// thread of the process has ended, so a dead owner writes nothing any more, and one contender wins the exchange of exactly this
/// word for its own. Process ids play no part: they are reused, and other containers have others.
struct SharedLock {
    private static let isContended: UInt32 = 0x80
    /// How long a contender sleeps before it doubts that the owner lives.
    private static let nap = 10_000_000
    /// An owner that lives and does not release it is stopped or frozen: it would hold it for 0.1 µs.
    private static let patience = 200

    let memory: SharedMemory
    private let mine: UInt32

    init(_ memory: SharedMemory, slot: Int, generation: UInt64) {
        self.memory = memory
        mine = UInt32(slot + 1) | UInt32(truncatingIfNeeded: generation) << 8
    }

    /// - Parameter isAlive: whether the slot has an owner; asks the kernel.
    /// - Returns: whether it is ours now. false when the file is no scoreboard any more or a live owner keeps it.
    func acquire(isAlive: (_ slot: Int) -> Bool) -> Bool {
        unsafe memory.withHalfWord(ScoreboardLayout.Head.lock) { word in
            if unsafe exchange(word, 0, mine) { return true }
            return unsafe wait(word, isAlive)
        }
    }

    func release() {
        unsafe memory.withHalfWord(ScoreboardLayout.Head.lock) { word in
            let held = unsafe word.pointee.exchange(0, ordering: .releasing)
            if held & Self.isContended != 0 { unsafe wake(word) }
        }
    }

    private func wait(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ isAlive: (Int) -> Bool) -> Bool {
        var (naps, owner) = (0, UInt32(0))
        while true {
            let seen = unsafe word.pointee.load(ordering: .relaxed)
            // Others may sleep as well: the mark stays until nobody does.
            let marked = mine | Self.isContended
            if seen == 0 {
                if unsafe exchange(word, 0, marked) { return true }
                continue
            }
            if seen & Self.isContended == 0, unsafe !exchange(word, seen, seen | Self.isContended) { continue }
            switch unsafe sleep(word, seen | Self.isContended) {
            case ETIMEDOUT:
                guard memory.load(ScoreboardLayout.Head.magic) == ScoreboardLayout.magic else { return false }
                guard let isOwned = isOwned(seen, isAlive) else { return false }
                if !isOwned, unsafe exchange(word, seen | Self.isContended, marked) { return true }
                naps = seen | Self.isContended == owner ? naps + 1 : 1
                owner = seen | Self.isContended
                guard naps < Self.patience else { return false }
            // The page is gone.
            case EFAULT: return false
            default: break
            }
        }
    }

    /// nil for a word that no owner has written.
    private func isOwned(_ word: UInt32, _ isAlive: (Int) -> Bool) -> Bool? {
        let slot = Int(word & (Self.isContended - 1)) - 1
        guard slot >= 0, slot < ScoreboardLayout.maxSlots else { return nil }
        let generation = memory.load(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.generation)
        guard UInt32(truncatingIfNeeded: generation) << 8 == word & ~0xFF else { return false }
        return isAlive(slot)
    }

    private func exchange(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ old: UInt32, _ new: UInt32) -> Bool {
        unsafe word.pointee.compareExchange(
            expected: old, desired: new, successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged
    }

    private func sleep(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ expected: UInt32) -> CInt {
        let result = unsafe cglibc_futex_wait(
            UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), expected, Self.nap)
        return result == 0 ? 0 : errno
    }

    private func wake(_ word: UnsafeMutablePointer<Atomic<UInt32>>) {
        _ = unsafe cglibc_futex_wake(UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self), 1)
    }
}
