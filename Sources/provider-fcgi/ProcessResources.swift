import CGlibc
import Glibc

/// Memory and descriptors of the process.
enum ProcessResources {
    /// What a thread takes at one moment: its connection, and a transfer's connection and means to be woken.
    private static let descriptorsOfAThread = 4
    /// The same including kept transfers to the engine and to the central system.
    private static let descriptorsWithKept = 7
    /// All that is ever kept, as `HTTPClient` keeps 128 transfers to either; and 256 for everything else, such as nvidia-smi's
    /// pipes and the configuration.
    private static let reserve = 2 * 128 * 3 + 256

    /// The number of threads for which there are descriptors.
    static var maxThreads: Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        let all = Int(clamping: limit.rlim_cur)
        // Few threads leave less behind than the most that is kept.
        return max(2, (all - reserve) / descriptorsOfAThread, (all - all / 4) / descriptorsWithKept)
    }

    /// Whether at least this number of descriptors can be opened, as far as the process's limit goes.
    static func hasFreeDescriptors(_ wanted: Int) -> Bool {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return false }
        var (free, next) = (0, CInt(0))
        // Counted rather than tried: trying would take the last descriptor for a moment.
        while free < wanted && next < CInt(clamping: limit.rlim_cur) {
            if fcntl(next, F_GETFD) < 0 { free += 1 }
            next += 1
        }
        return free == wanted
    }

    /// Has large blocks given back to the system as soon as they are freed.
    ///
    /// By default glibc raises this threshold to the size of the largest freed mapping, up to 32 MiB (mallopt(3),
    /// M_MMAP_THRESHOLD). A few buffered responses of 8 MiB would then stay in memory, in each of up to 8 arenas for each
    /// core. Setting it, to its default here, ends that.
    static func returnLargeBlocks() {
        mallopt(M_MMAP_THRESHOLD, 128 * 1024)
    }

    /// Raises the limit of open files to what the system allows: a stream takes four descriptors.
    ///
    /// Nothing here uses select(2), the reason for the lower limit at the start of a process.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        // Left as it is where that is not allowed: accept then says what is missing.
        _ = unsafe setrlimit(resource, &limit)
    }

    /// Lets go of the pages of programs and libraries that only the start needed: the command line, YAML, relocations,
    /// every library's own beginnings. They are most of what a process like this one shows as its memory.
    ///
    /// The kernel reads them from the file again when needed: "subsequent accesses of pages in the range will succeed"
    /// (madvise(2), MADV_DONTNEED). Mappings with anonymous pages stay: the dynamic linker wrote to them before they became
    /// read-only.
    static func releaseStartupPages() {
        guard let maps = unsafe fopen("/proc/self/smaps", "re") else { return }
        defer { unsafe fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { unsafe free(line) }
        var mapping: Range<UInt>?
        while unsafe getline(&line, &room, maps) > 0, let text = unsafe line {
            let fields = unsafe String(cString: text).split(whereSeparator: \.isWhitespace)
            if let found = readOnlyFile(fields) {
                mapping = found
            } else if fields.first == "Anonymous:", fields[1] == "0", let range = mapping {
                _ = unsafe madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
            } else if fields.first == "VmFlags:" {
                mapping = nil
            }
        }
    }

    /// The addresses in the first line of a mapping, such as `7f0c1e000000-7f0c1e022000 r-xp 00026000 08:01 1835 /usr/lib/…`
    /// (proc(5)). nil for writable mappings, for mappings without a file and for other lines.
    private static func readOnlyFile(_ fields: [Substring]) -> Range<UInt>? {
        guard fields.count >= 6, ["r-xp", "r--p"].contains(fields[1]), fields[5].hasPrefix("/") else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 ? ends[0]..<ends[1] : nil
    }
}
