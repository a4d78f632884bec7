import Glibc

/// The scoreboard's file: made by the first worker, joined by the others.
struct ScoreboardFile {
    private typealias Head = ScoreboardLayout.Head

    /// With the layout's version, so that workers of another layout have a file of their own.
    let path: String
    private static let size = ScoreboardLayout.words(slots: ScoreboardLayout.maxSlots) * MemoryLayout<UInt64>.size
    /// Held while a worker makes the file and takes a slot. The bytes before are the slots'.
    private static let joinByte = ScoreboardLayout.maxSlots
    private static let joinPatience = Duration.seconds(2)

    /// - Parameter path: as configured.
    init(_ path: String) {
        self.path = "\(path).v\(ScoreboardLayout.version)"
    }

    /// Takes a slot, in a new file if there is none.
    ///
    /// - Parameter isFresh: whether the slot must be one that nobody has counted in.
    func join(isFresh: Bool) throws(ScoreboardProblem) -> ScoreboardRegion {
        // Each turn but the last met a file that was deleted in between.
        for _ in 0..<5 {
            let descriptor = try open()
            do throws(ScoreboardProblem) {
                try lock(descriptor)
                if isStill(descriptor) {
                    let region = try joinLocked(descriptor, isFresh: isFresh)
                    SlotLock.release(descriptor, byte: Self.joinByte)
                    return region
                }
            } catch {
                close(descriptor)
                throw error
            }
            close(descriptor)
        }
        throw ScoreboardProblem("is deleted again and again")
    }

    /// Why the file of a region is no longer the file that others find; nil when it is.
    func loss(of descriptor: CInt) -> String? {
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { return "cannot be read: \(systemError(errno))" }
        if information.st_size != Self.size { return "was truncated" }
        return isStill(descriptor) ? nil : "was deleted"
    }

    private func open() throws(ScoreboardProblem) -> CInt {
        // O_NONBLOCK: a FIFO opens at once. O_NOFOLLOW: the file is ours, wherever a link would lead.
        let flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW
        let descriptor = unsafe Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else { throw ScoreboardProblem("cannot be opened: \(systemError(errno))") }
        do throws(ScoreboardProblem) { try check(descriptor) } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private func check(_ descriptor: CInt) throws(ScoreboardProblem) {
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else {
            throw ScoreboardProblem("cannot be read: \(systemError(errno))")
        }
        guard information.st_mode & S_IFMT == S_IFREG else { throw ScoreboardProblem("is no regular file") }
        guard information.st_uid == geteuid() else {
            throw ScoreboardProblem("belongs to user \(information.st_uid), expected \(geteuid())")
        }
        guard information.st_mode & 0o077 == 0 else {
            throw ScoreboardProblem("has mode 0\(String(information.st_mode & 0o777, radix: 8)), expected 0600")
        }
    }

    private func lock(_ descriptor: CInt) throws(ScoreboardProblem) {
        let deadline = ContinuousClock.now + Self.joinPatience
        while true {
            let code = SlotLock.take(descriptor, byte: Self.joinByte)
            if code == 0 { return }
            guard code == EAGAIN || code == EACCES || code == EINTR else {
                throw ScoreboardProblem("cannot be locked: \(systemError(code))")
            }
            guard ContinuousClock.now < deadline else {
                throw ScoreboardProblem("is locked by a worker that does not run")
            }
            // Workers start seldom, and each holds it for milliseconds; F_OFD_SETLKW would have no limit.
            usleep(2000)
        }
    }

    private func isStill(_ descriptor: CInt) -> Bool {
        var (ours, theirs) = (stat(), stat())
        return unsafe fstat(descriptor, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino
            && ours.st_dev == theirs.st_dev
    }

    private func joinLocked(_ descriptor: CInt, isFresh: Bool) throws(ScoreboardProblem) -> ScoreboardRegion {
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else {
            throw ScoreboardProblem("cannot be read: \(systemError(errno))")
        }
        if information.st_size == 0 {
            // Reserved, not only sized: a full file system shows here, not as SIGBUS later.
            let code = posix_fallocate(descriptor, 0, off_t(Self.size))
            guard code == 0 else { throw ScoreboardProblem("cannot be made: \(systemError(code))") }
        } else if information.st_size != Self.size {
            throw ScoreboardProblem(
                "is not a scoreboard: expected \(Self.size) bytes, found \(information.st_size); delete it")
        }
        let memory = try SharedMemory(
            descriptor: descriptor, count: ScoreboardLayout.words(slots: ScoreboardLayout.maxSlots))
        // Zeros: made just now, or by a worker that was killed before it was done.
        if memory.load(Head.magic) != 0 || (0..<Head.words).contains(where: { memory.load($0) != 0 }) {
            guard memory.load(Head.magic) == ScoreboardLayout.magic,
                memory.load(Head.slotsUsed) <= UInt64(ScoreboardLayout.maxSlots)
            else { throw ScoreboardProblem("is not a scoreboard: its head is garbage; delete it") }
        }
        restartClocks(memory, descriptor)
        memory.store(Head.magic, ScoreboardLayout.magic)
        let slot = try takeSlot(memory, descriptor, isFresh: isFresh)
        let region = ScoreboardRegion(memory, slot: slot, descriptor: descriptor)
        memory.store(Head.slotsUsed, max(memory.load(Head.slotsUsed), UInt64(slot + 1)))
        return region
    }

    /// Without a worker no time is counted, and after a boot the clock has begun anew.
    private func restartClocks(_ memory: SharedMemory, _ descriptor: CInt) {
        guard !(0..<ScoreboardLayout.maxSlots).contains(where: { SlotLock.isHeld(descriptor, byte: $0) }) else {
            return
        }
        let now = SampleUse.now()
        let counted = GPUCondition.allCases.reduce(UInt64(0)) { $0 &+ memory.load(Head.gpuTimes + $1.rawValue) }
        memory.store(Head.gpuOrigin, now &- counted)
        if memory.load(Head.lastAdmission) > now || memory.load(Head.sampleTaken) > now {
            for word in [Head.sampleAdmitted, Head.sampleTaken, Head.lastAdmission] { memory.store(word, 0) }
        }
    }

    private func takeSlot(_ memory: SharedMemory, _ descriptor: CInt, isFresh: Bool) throws(ScoreboardProblem) -> Int {
        for slot in 0..<ScoreboardLayout.maxSlots {
            let generation = memory.load(ScoreboardLayout.slot(slot) + ScoreboardLayout.Slot.generation)
            if isFresh && generation != 0 { continue }
            if SlotLock.take(descriptor, byte: slot) == 0 { return slot }
        }
        throw ScoreboardProblem("has no free slot: at most \(ScoreboardLayout.maxSlots) workers share it")
    }
}
