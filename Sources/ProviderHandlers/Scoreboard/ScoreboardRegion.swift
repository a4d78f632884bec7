import CGlibc
import Glibc

/// One worker's hold on a scoreboard: the memory, and its slot in there, which the kernel frees when this process ends.
///
/// A slot is taken by a lock on a byte of the file that belongs to the open file description (fcntl(2)). A child does not keep
/// it: the descriptor is closed on exec. Lengths play no part, so the bytes need not exist.
final class ScoreboardRegion: Sendable {
    let memory: SharedMemory
    let slot: Int
    let generation: UInt64
    let nonce: UInt64
    let lock: SharedLock
    /// nil for a scoreboard of this process alone.
    let descriptor: CInt?

    /// A scoreboard of this process alone.
    convenience init() {
        let memory = SharedMemory(count: ScoreboardLayout.words(slots: 1))
        memory.store(ScoreboardLayout.Head.slotsUsed, 1)
        memory.store(ScoreboardLayout.Head.gpuOrigin, SampleUse.now())
        memory.store(ScoreboardLayout.Head.magic, ScoreboardLayout.magic)
        self.init(memory, slot: 0, descriptor: nil)
    }

    /// - Parameter descriptor: holds the lock on the slot's byte; closed with this object.
    init(_ memory: SharedMemory, slot: Int, descriptor: CInt?) {
        self.memory = memory
        self.slot = slot
        self.descriptor = descriptor
        generation = memory.load(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.generation) &+ 1
        nonce = UInt64.random(in: 1...UInt64.max)
        lock = SharedLock(memory, slot: slot, generation: generation)
    }

    deinit {
        if let descriptor { close(descriptor) }
    }

    /// Writes a word of the own slot.
    func store(_ index: Int, _ value: UInt64) {
        memory.store(ScoreboardLayout.slot(slot) + index, value)
    }

    /// How many slots were ever taken.
    var slotsUsed: Int {
        min(
            Int(clamping: memory.load(ScoreboardLayout.Head.slotsUsed)),
            descriptor == nil ? 1 : ScoreboardLayout.maxSlots)
    }

    /// Whether the memory is the scoreboard that we joined: false once its file was truncated or overwritten.
    func isSound(inFlight: Int) -> Bool { isOurs && self.inFlight(slot) == inFlight }

    /// Whether the slot is still held by us.
    var isOurs: Bool {
        memory.load(ScoreboardLayout.Head.magic) == ScoreboardLayout.magic
            && memory.load(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.nonce) == nonce
    }

    /// What a worker says to have in flight, alive or not.
    func inFlight(_ slot: Int) -> Int {
        Int(clamping: memory.load(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.inFlight))
    }

    /// Frees the places of a worker that has ended. With the lock held: only then does a successor take one.
    func freePlaces(_ slot: Int) {
        memory.store(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.inFlight, 0)
    }

    /// A copy of a slot's words.
    func slotWords(_ slot: Int) -> [UInt64] {
        let start = ScoreboardLayout.slot(slot)
        return (0..<ScoreboardLayout.Slot.words).map { memory.load(start + $0) }
    }

    /// The completions kept in a slot, in no order.
    func completions(_ slot: Int) -> [Completion] {
        let ring = ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.ring
        return (0..<Completion.limit).compactMap { record in
            let start = ring + record * Completion.words
            let number = memory.load(start)
            let fields = (1..<Completion.words).map { memory.load(start + $0) }
            return number != 0 && memory.load(start) == number ? Completion(fields: fields) : nil
        }
    }

    /// Whether a worker holds the slot; our own is held.
    func isAlive(_ slot: Int) -> Bool {
        guard slot != self.slot else { return true }
        return descriptor.map { SlotLock.isHeld($0, byte: slot) } ?? false
    }
}

/// Locks of an open file description on single bytes of a file.
enum SlotLock {
    /// - Returns: 0, or the error; EAGAIN when another holds it.
    static func take(_ descriptor: CInt, byte: Int) -> CInt {
        var lock = request(byte)
        return unsafe fcntl(descriptor, CInt(CGLIBC_OFD_SETLK), &lock) == 0 ? 0 : errno
    }

    static func release(_ descriptor: CInt, byte: Int) {
        var lock = request(byte)
        lock.l_type = Int16(F_UNLCK)
        _ = unsafe fcntl(descriptor, CInt(CGLIBC_OFD_SETLK), &lock)
    }

    /// Whether another open file description holds it. What the kernel cannot tell counts as held.
    static func isHeld(_ descriptor: CInt, byte: Int) -> Bool {
        var lock = request(byte)
        guard unsafe fcntl(descriptor, CInt(CGLIBC_OFD_GETLK), &lock) == 0 else { return true }
        return lock.l_type != Int16(F_UNLCK)
    }

    private static func request(_ byte: Int) -> flock {
        flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: off_t(byte), l_len: 1, l_pid: 0)
    }
}
