import Glibc

/// The child process that alone ever loads NVML: `provider-fcgi --nvml-probe`.
///
/// It writes one `NVMLMessage` a line to standard output, and ends when standard input does, which is when its parent has
/// gone, however that ended.
public enum NVMLProbe {
    /// Samples in which a GPU is in trouble until the child ends, so that the next one initializes NVML anew: 2 s. This
    /// detects a reloaded driver: handles of the previous driver never work again.
    private static let patience = 40
    /// Between two looks at what changes less often than the load.
    private static let detailInterval = Duration.seconds(1)
    /// After so long without a word the child says that it is alive: no sooner than the driver renews its counters.
    private static let heartbeat = NVMLState.renewal

    /// - Parameter interval: between two reads, in milliseconds.
    /// - Returns: the exit status, when NVML has to be initialized anew or is not there.
    public static func run(interval: Int) -> CInt {
        // A crash is expected of some drivers: each is reported, but need not fill a disk.
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        let output = privateOutput()
        guard endWithStandardInput() else { return EX_OSERR }
        let library: NVMLLibrary
        do throws(NVMLMissing) {
            library = try NVMLLibrary()
        } catch {
            return write(.missing(error.reason), output) ? EX_OK : EX_IOERR
        }
        let reader: NVMLReader
        do throws(NVMLFailure) {
            reader = try NVMLReader(library)
        } catch {
            // The library also comes to machines without a GPU, as a dependency of tools that could show one.
            let isMissing = error.code == NVMLFailure.driverNotLoaded
            let word = isMissing ? NVMLMessage.missing(error.words) : .failure("NVML: \(error.words)")
            return write(word, output) ? EX_OK : EX_IOERR
        }
        return sample(reader, interval: .milliseconds(interval), output)
    }

    private static func sample(_ reader: NVMLReader, interval: Duration, _ output: CInt) -> CInt {
        var reader = reader
        var told: GPUSample?
        var isTroubled = 0
        var next = ContinuousClock.now
        var (nextDetails, nextWord) = (next, next)
        while isTroubled < patience {
            let isDetailed = next >= nextDetails
            if isDetailed { nextDetails = next + detailInterval }
            reader.read(withDetails: isDetailed)
            if let word = word(for: reader.sample, after: told) ?? (next >= nextWord ? .alive : nil) {
                guard write(word, output) else { return EX_IOERR }
                told = reader.sample
                nextWord = next + heartbeat
            }
            isTroubled = reader.sample.gpus.contains { $0.fault != nil } ? isTroubled + 1 : 0
            // What was missed is not made up for.
            next = max(next + interval, .now)
            poll(nil, 0, (next - .now).pollMilliseconds)
        }
        return EX_OK
    }

    /// The shortest message that tells a sample to a parent that knows the previous sample; nil when both are the same.
    static func word(for sample: GPUSample, after told: GPUSample?) -> NVMLMessage? {
        guard sample != told else { return nil }
        let loads = sample.gpus.map(\.utilization)
        return told?.with(loads: loads) == sample ? .load(loads) : .sample(sample)
    }

    /// Standard output under another number: nothing that the library prints gets in between.
    private static func privateOutput() -> CInt {
        let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
        dup2(STDERR_FILENO, STDOUT_FILENO)
        return output
    }

    private static func write(_ word: NVMLMessage, _ output: CInt) -> Bool {
        Descriptor.write(word.line, to: output) == 0
    }

    /// On a separate thread, because NVML may hang. PR_SET_PDEATHSIG would not do: it counts the thread that started the
    /// child as its parent, and that one may end at any time.
    private static func endWithStandardInput() -> Bool {
        var thread = pthread_t()
        return unsafe pthread_create(&thread, nil, waitForEndOfInput, nil) == 0
    }
}

/// A free function, as a C entry point has to be.
private func waitForEndOfInput(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var byte: UInt8 = 0
    while true {
        let count = unsafe read(STDIN_FILENO, &byte, 1)
        if count == 0 || count < 0 && errno != EINTR { _exit(EX_OK) }
    }
}
